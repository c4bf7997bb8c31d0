import { RE2JS } from 're2js'
import type { Finder, Span } from '../rule-index.ts'
import { beginnings, captures, isUnbounded, mayExplode, withoutLead } from './re2-facts.ts'
import { type Node, parseRe2 } from './re2-syntax.ts'
import { toJs } from './re2-to-js.ts'

const BEFORE = 128
/** Of a match that begins with its keyword: only what assertions look back at. */
const BEFORE_ANCHORED = 8
const AFTER = 640
/** Of a pattern without an end, such as a private key. */
const AFTER_UNBOUNDED = 4096

/** Tries of an ordinary pattern that a try in a window counts as; RE2JS is slower by far. */
const JS_WEIGHT = 2
const RE2_WEIGHT = 16

/** Runs a pattern over a window of text: where it matches, as positions of groups in turn, begin and end. */
type Search = (window: string, from: number) => readonly (readonly [number, number] | undefined)[] | null

/**
 * A pattern of the user's. Where V8 can run it without danger, it is converted; else RE2JS runs it, in linear time. Where every
 * match begins with a keyword, only that place is tried; else a window around it.
 */
export class PatternFinder implements Finder {
  readonly weight: number
  readonly groups: number
  /** Which engine runs it. */
  readonly engine: 'v8' | 're2'
  readonly #search: Search
  readonly #anchored: boolean
  readonly #after: number
  readonly #group: number
  readonly #everywhere: boolean
  readonly #span: Span

  /**
   * @param group the group that is the secret; 0 = the first one, or the whole match where there is none
   * @throws SyntaxError when RE2 does not take the pattern
   */
  constructor(source: string, keywords: readonly string[], group: number) {
    const parsed = tryParse(source)
    const re2 = RE2JS.compile(source)
    const bounded = keywords.length > 0 || (parsed !== null && !isUnbounded(parsed))
    const convertible = parsed !== null && bounded && !mayExplode(parsed)
    const groups = parsed === null ? re2.groupCount() : captures(parsed)
    if (group > groups) throw new SyntaxError(`secretGroup is ${group}, but the pattern has ${groups} groups`)
    const node = convertible ? ((groups > 0 ? withoutLead(parsed) : null) ?? parsed) : parsed
    const heads = node === null ? null : beginnings(node)
    this.groups = groups
    this.engine = convertible ? 'v8' : 're2'
    this.#anchored = convertible && keywords.length > 0 && isAnchored(heads, keywords)
    this.#search = convertible && node !== null ? searchJs(toJs(node), this.#anchored) : searchRe2(re2)
    this.weight = convertible ? (this.#anchored ? 1 : JS_WEIGHT) : RE2_WEIGHT
    this.#after = parsed === null || isUnbounded(parsed) ? AFTER_UNBOUNDED : AFTER
    this.#group = group > 0 ? group : Math.min(groups, 1)
    this.#everywhere = keywords.length === 0
    this.#span = { start: 0, end: 0, secretStart: 0, secretEnd: 0 }
  }

  find(text: string, at: number): Span | null {
    if (this.#everywhere) return this.#take(this.#search(text, at), 0)
    const start = Math.max(0, at - (this.#anchored ? BEFORE_ANCHORED : BEFORE))
    const window = text.slice(start, at + this.#after)
    return this.#take(this.#search(window, this.#anchored ? at - start : 0), start)
  }

  #take(groups: ReturnType<Search>, shift: number): Span | null {
    const whole = groups?.[0]
    if (groups === null || whole === undefined) return null
    const secret = groups[this.#group] ?? whole
    const span = this.#span
    span.start = whole[0] + shift
    span.end = whole[1] + shift
    span.secretStart = secret[0] + shift
    span.secretEnd = secret[1] + shift
    return span
  }
}

function tryParse(source: string): Node | null {
  try {
    return parseRe2(source)
  } catch {
    return null
  }
}

/** Whether every match begins with one of the keywords. */
function isAnchored(heads: readonly string[] | null, keywords: readonly string[]): boolean {
  return heads?.every(head => keywords.some(keyword => head.startsWith(keyword))) ?? false
}

function searchJs(source: string, sticky: boolean): Search {
  const pattern = new RegExp(source, sticky ? 'dy' : 'dg')
  return (window, from) => {
    pattern.lastIndex = from
    return pattern.exec(window)?.indices ?? null
  }
}

function searchRe2(pattern: RE2JS): Search {
  const groups = pattern.groupCount()
  return (window, from) => {
    const matcher = pattern.matcher(window)
    if (!matcher.find(from)) return null
    return Array.from({ length: groups + 1 }, (_, group) => {
      const start = matcher.start(group)
      return start < 0 ? undefined : ([start, matcher.end(group)] as const)
    })
  }
}
