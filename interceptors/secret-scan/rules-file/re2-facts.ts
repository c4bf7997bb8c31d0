import type { Node } from './re2-syntax.ts'

/** The most beginnings that are told apart. */
const MAX_BEGINNINGS = 64
/** A repetition of more is as good as endless. */
const MANY = 16

/** Whether a match may be longer than any number. */
export function isUnbounded(node: Node): boolean {
  if (node.type === 'repeat') return node.max === Number.POSITIVE_INFINITY || isUnbounded(node.body)
  return childrenOf(node).some(isUnbounded)
}

/** Number of groups that capture. */
export function captures(node: Node): number {
  const own = node.type === 'group' && node.capture ? 1 : 0
  return childrenOf(node).reduce((sum, child) => sum + captures(child), own)
}

/**
 * Whether an engine that backtracks could need more than polynomial time of a low degree: a long repetition inside a long
 * repetition, or more than three endless ones.
 */
export function mayExplode(node: Node): boolean {
  return hasNested(node, false) || countEndless(node) > 3
}

function hasNested(node: Node, inside: boolean): boolean {
  const long = node.type === 'repeat' && node.max - node.min >= MANY
  if (long && inside) return true
  const counted = node.type === 'repeat' && node.max >= MANY
  return childrenOf(node).some(child => hasNested(child, inside || counted))
}

function countEndless(node: Node): number {
  const own = node.type === 'repeat' && node.max - node.min >= 1000 ? 1 : 0
  return childrenOf(node).reduce((sum, child) => sum + countEndless(child), own)
}

/**
 * The pattern without a lazy run of any characters of a class at its begin (`[\w.-]{0,50}?`): it only moves the begin of the
 * match, not its groups, and makes every position of a text worth a try. `null` where there is none.
 */
export function withoutLead(node: Node): Node | null {
  if (node.type !== 'sequence') return null
  const [first, ...items] = node.items
  if (first?.type !== 'repeat' || first.min !== 0 || !first.lazy || first.body.type !== 'class') return null
  return { type: 'sequence', items }
}

/** Lower-case texts of which every match begins with one; `null` where they cannot be told. */
export function beginnings(node: Node): readonly string[] | null {
  const found = grow(node)
  return found === null || found.texts.some(text => text === '') ? null : found.texts
}

interface Beginnings {
  readonly texts: readonly string[]
  /** Whether the node can be nothing but these texts, so that what follows may be added. */
  readonly whole: boolean
}

const NOTHING: Beginnings = { texts: [''], whole: true }
const UNKNOWN: Beginnings = { texts: [''], whole: false }

function grow(node: Node): Beginnings | null {
  switch (node.type) {
    case 'literal':
      return node.code < 0x80 ? { texts: [String.fromCharCode(node.code).toLowerCase()], whole: true } : UNKNOWN
    case 'assertion':
      return NOTHING
    case 'group':
      return grow(node.body)
    case 'choice':
      return union(node.options.map(grow))
    case 'sequence':
      return chain(node.items)
    case 'repeat':
      return node.min === 1 && node.max === 1 ? grow(node.body) : UNKNOWN
    default:
      return UNKNOWN
  }
}

function union(options: readonly (Beginnings | null)[]): Beginnings | null {
  const known = options.filter(option => option !== null)
  if (known.length < options.length) return null
  const texts = [...new Set(known.flatMap(option => option.texts))]
  return texts.length > MAX_BEGINNINGS ? null : { texts, whole: known.every(option => option.whole) }
}

function chain(items: readonly Node[]): Beginnings | null {
  let result: Beginnings = NOTHING
  for (const item of items) {
    const next = grow(item)
    if (next === null) return { ...result, whole: false }
    const texts = result.texts.flatMap(head => next.texts.map(tail => head + tail))
    if (texts.length > MAX_BEGINNINGS) return { ...result, whole: false }
    result = { texts: [...new Set(texts)], whole: next.whole }
    if (!next.whole) return result
  }
  return result
}

function childrenOf(node: Node): readonly Node[] {
  if (node.type === 'group' || node.type === 'repeat') return [node.body]
  if (node.type === 'choice') return node.options
  return node.type === 'sequence' ? node.items : []
}
