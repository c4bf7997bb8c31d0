/**
 * Globs over names that come from peers: tools, methods, resource URIs. Unlike file globs, `*` matches every
 * character, `/` and line breaks too, so that no odd name slips past a rule. Matching takes no more than
 * length of text x length of pattern, whatever the text, so that no name can stall the proxy.
 *
 * `*` any characters · `?` one · `{a,b}` either · `[a-z]`, `[!a-z]` one of, none of · `\` takes the next one literally.
 */
export type Glob = (text: string) => boolean

/** The longest pattern, in UTF-16 units. */
export const MAX_GLOB_LENGTH = 1024

/** The most alternatives that the braces of one pattern may unfold to. */
export const MAX_GLOB_ALTERNATIVES = 256

/** One character of a pattern: itself, any (`?`), or one of a class. */
type Unit = string | ((character: string) => boolean)

/** Reads a pattern without a leading `!`. @throws SyntaxError that says what is wrong with it */
export function compileGlob(pattern: string): Glob {
  if (pattern === '*') return () => true
  if (!/[*?[\]{}\\]/.test(pattern)) return text => text === pattern
  const globs = unfold(pattern).map(compileOne)
  const [only] = globs
  if (globs.length === 1 && only !== undefined) return only
  return text => globs.some(glob => glob(text))
}

/** What is wrong with a pattern, which may begin with `!`; `null` when it is good. */
export function globProblem(pattern: string): string | null {
  if (pattern.length > MAX_GLOB_LENGTH) return `expected a glob of at most ${MAX_GLOB_LENGTH} characters`
  const bare = pattern.startsWith('!') ? pattern.slice(1) : pattern
  if (bare === '') return 'expected a glob, such as get_* or !get_*'
  try {
    compileGlob(bare)
    return null
  } catch (error) {
    return `bad glob ${JSON.stringify(pattern)}: ${(error as Error).message}`
  }
}

/** A list of globs: it fits what at least one fits, and no one with `!` before it. Only `!` ones: all but those. None: nothing. */
export class GlobList {
  /** As written. */
  readonly patterns: readonly string[]
  /** Whether it fits everything, so that there is nothing to ask. */
  readonly any: boolean
  readonly #positive: readonly Glob[]
  readonly #negative: readonly Glob[]

  constructor(patterns: readonly string[]) {
    this.patterns = patterns
    const negative = patterns.filter(pattern => pattern.startsWith('!'))
    const positive = patterns.filter(pattern => !pattern.startsWith('!'))
    this.any = negative.length === 0 && positive.includes('*')
    this.#negative = negative.map(pattern => compileGlob(pattern.slice(1)))
    this.#positive = positive.length === 0 && negative.length > 0 ? [() => true] : positive.map(compileGlob)
  }

  fits(text: string): boolean {
    if (this.any) return true
    return anyFits(this.#positive, text) && !anyFits(this.#negative, text)
  }
}

function anyFits(globs: readonly Glob[], text: string): boolean {
  for (const glob of globs) {
    if (glob(text)) return true
  }
  return false
}

/** Replaces `{a,b}` by the patterns it stands for. */
function unfold(pattern: string): string[] {
  const open = findOpen(pattern)
  if (open === -1) return [pattern]
  const { commas, close } = findClose(pattern, open)
  const head = pattern.slice(0, open)
  const bounds = [open, ...commas, close]
  const tails = unfold(pattern.slice(close + 1))
  const all: string[] = []
  for (let i = 0; i + 1 < bounds.length; i++) {
    for (const middle of unfold(pattern.slice((bounds[i] ?? 0) + 1, bounds[i + 1]))) {
      for (const tail of tails) all.push(head + middle + tail)
      if (all.length > MAX_GLOB_ALTERNATIVES) throw new SyntaxError(`more than ${MAX_GLOB_ALTERNATIVES} alternatives`)
    }
  }
  return all
}

function findOpen(pattern: string): number {
  for (let i = 0; i < pattern.length; i = skip(pattern, i)) {
    if (pattern[i] === '{') return i
    if (pattern[i] === '}') throw new SyntaxError('"}" without "{"; write \\} for the character')
  }
  return -1
}

function findClose(pattern: string, open: number): { commas: number[]; close: number } {
  const commas: number[] = []
  let depth = 0
  for (let i = open; i < pattern.length; i = skip(pattern, i)) {
    if (pattern[i] === '{') depth++
    else if (pattern[i] === ',' && depth === 1) commas.push(i)
    else if (pattern[i] === '}' && --depth === 0) return { commas, close: i }
  }
  throw new SyntaxError('"{" without "}"; write \\{ for the character')
}

/** The position after one character, escape or class. */
function skip(pattern: string, at: number): number {
  if (pattern[at] === '\\') return at + 2
  if (pattern[at] === '[') return classEnd(pattern, at) + 1
  return at + 1
}

function classEnd(pattern: string, open: number): number {
  // A "]" right behind "[" or "[!" is a member of the class.
  let at = open + (pattern[open + 1] === '!' ? 2 : 1)
  if (pattern[at] === ']') at++
  while (at < pattern.length && pattern[at] !== ']') at += pattern[at] === '\\' ? 2 : 1
  if (at >= pattern.length) throw new SyntaxError('"[" without "]"; write \\[ for the character')
  return at
}

/** Matches the pieces between stars from left to right, each at its first place: that never needs to go back. */
function compileOne(pattern: string): Glob {
  const pieces = parse(pattern)
  const first = pieces[0] ?? []
  const last = pieces.at(-1) ?? []
  if (pieces.length === 1) return text => text.length === first.length && matchesAt(first, text, 0)
  const middle = pieces.slice(1, -1)
  const least = pieces.reduce((sum, piece) => sum + piece.length, 0)
  return text => {
    if (text.length < least || !matchesAt(first, text, 0)) return false
    const end = text.length - last.length
    if (!matchesAt(last, text, end)) return false
    let at = first.length
    for (const piece of middle) {
      at = findPiece(piece, text, at, end)
      if (at === -1) return false
    }
    return at <= end
  }
}

/** The position behind the first match of a piece in text[from, end); -1 when there is none. */
function findPiece(piece: readonly Unit[], text: string, from: number, end: number): number {
  for (let at = from; at + piece.length <= end; at++) {
    if (matchesAt(piece, text, at)) return at + piece.length
  }
  return -1
}

function matchesAt(piece: readonly Unit[], text: string, at: number): boolean {
  for (let i = 0; i < piece.length; i++) {
    const unit = piece[i]
    const character = text[at + i] ?? ''
    if (typeof unit === 'string' ? unit !== character : unit?.(character) !== true) return false
  }
  return true
}

/** The pieces between the stars, one more than there are stars. */
function parse(pattern: string): Unit[][] {
  const pieces: Unit[][] = [[]]
  for (let i = 0; i < pattern.length; i = skip(pattern, i)) {
    const character = pattern[i] ?? ''
    if (character === '*') pieces.push([])
    else pieces.at(-1)?.push(parseUnit(pattern, i, character))
  }
  return pieces
}

function parseUnit(pattern: string, at: number, character: string): Unit {
  if (character === '?') return () => true
  if (character === '[') return parseClass(pattern.slice(at + 1, classEnd(pattern, at)))
  if (character !== '\\') return character
  const escaped = pattern[at + 1]
  if (escaped === undefined) throw new SyntaxError('"\\" at the end')
  return escaped
}

function parseClass(body: string): Unit {
  const negated = body.startsWith('!')
  const text = negated ? body.slice(1) : body
  const ranges: [string, string][] = []
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++
    const low = text[i] ?? ''
    const high = text[i + 1] === '-' && i + 2 < text.length ? (text[i + 2] ?? '') : low
    if (high < low) throw new SyntaxError(`"${low}-${high}" runs backwards`)
    if (text[i + 1] === '-' && i + 2 < text.length) i += 2
    ranges.push([low, high])
  }
  return character => ranges.some(([low, high]) => character >= low && character <= high) !== negated
}
