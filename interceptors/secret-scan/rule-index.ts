import { KeywordDfa } from './keyword-dfa.ts'
import type { Rule } from './rule.ts'

/** Marks in JSON text that the look over raw bytes has to know about; they are no keywords. */
const MARKS = ['\\u00', '%', '"text"'] as const
export const ESCAPE_MARK = 0
export const PERCENT_MARK = 1
export const TEXT_MARK = 2
export const FIRST_KEYWORD = MARKS.length

/** Finds a rule's secret in a text. */
export interface Finder {
  /**
   * @param at where the keyword begins
   * @returns where the match begins and ends and where the secret in it does; `null` where there is none. The same object
   *   each time.
   */
  find(text: string, at: number): Span | null
  /** How much one try costs, in tries of an ordinary pattern. */
  readonly weight: number
}

/** A match and the secret in it, as positions in a text. */
export interface Span {
  start: number
  end: number
  secretStart: number
  secretEnd: number
}

/** A rule that is on, with its pattern ready. */
export interface ActiveRule {
  readonly rule: Rule
  readonly finder: Finder
  /** Further tests of what was found, from a file of the user's. `null` = none. */
  readonly accepts: ((text: string, span: Span) => boolean) | null
}

/** What the cheap test of a keyword has to ask for: the least of what its rules do. */
export interface KeywordTest {
  readonly length: number
  /** Characters that must follow; -1 = no rule begins with this keyword. */
  readonly tail: number
  /** Which ones, by code: 1 = yes. `null` = all that is neither blank nor quote. */
  readonly tailSet: Uint8Array | null
  /** How many blanks may come before these. */
  readonly blanks: number
  /** Whether a letter or digit before it rules it out. */
  readonly bounded: boolean
  /** The fewest characters of a value that is assigned; -1 = no rule wants one. */
  readonly minValue: number
  /** Whether the name to which it is assigned must end with the keyword. */
  readonly wholeName: boolean
  readonly url: boolean
}

/** Rules by keyword. */
export class RuleIndex {
  readonly dfa: KeywordDfa
  /** By keyword, as `dfa` numbers them; the marks come first and have none. */
  readonly rules: readonly (readonly ActiveRule[])[]
  readonly tests: readonly (KeywordTest | null)[]
  /** Rules without a keyword: tried at every position. */
  readonly everywhere: readonly ActiveRule[]

  constructor(rules: readonly ActiveRule[]) {
    const byKeyword = new Map<string, ActiveRule[]>()
    for (const active of rules) {
      for (const keyword of new Set(active.rule.keywords)) {
        const list = byKeyword.get(keyword)
        if (list === undefined) byKeyword.set(keyword, [active])
        else list.push(active)
      }
    }
    const keywords = [...byKeyword.keys()]
    const none = MARKS.map(() => [])
    this.rules = [...none, ...byKeyword.values()]
    this.tests = [...MARKS.map(() => null), ...keywords.map(keyword => testOf(keyword, byKeyword.get(keyword) ?? []))]
    this.everywhere = rules.filter(({ rule }) => rule.keywords.length === 0)
    this.dfa = new KeywordDfa([...MARKS, ...keywords])
  }
}

function testOf(keyword: string, active: readonly ActiveRule[]): KeywordTest {
  const of = (kind: Rule['kind']): Rule[] => active.map(({ rule }) => rule).filter(rule => rule.kind === kind)
  const tokens = of('token')
  const assigned = of('assign')
  return {
    length: keyword.length,
    tail: tokens.length === 0 ? -1 : Math.min(...tokens.map(rule => rule.tail)),
    tailSet: tokens.every(rule => rule.tailSet !== '') ? setOf(tokens) : null,
    blanks: Math.max(0, ...tokens.map(rule => rule.blanks)),
    bounded: tokens.every(rule => rule.bounded && rule.back === 0),
    minValue: assigned.length === 0 ? -1 : Math.min(...assigned.map(rule => rule.minValue)),
    wholeName: assigned.every(rule => rule.wholeName),
    url: of('url').length > 0,
  }
}

function setOf(rules: readonly Rule[]): Uint8Array {
  const set = new Uint8Array(256)
  for (const source of new Set(rules.map(rule => rule.tailSet))) {
    const pattern = new RegExp(source)
    for (let code = 0; code < 256; code++) if (pattern.test(String.fromCharCode(code))) set[code] = 1
  }
  return set
}

/** A pattern of ours, tried at the keyword and nowhere else. */
export class StickyFinder implements Finder {
  readonly weight = 1
  readonly #pattern: RegExp
  readonly #rule: Rule
  readonly #span: Span

  constructor(rule: Rule) {
    this.#rule = rule
    this.#pattern = new RegExp(rule.pattern, `${rule.flags}y${rule.group > 0 ? 'd' : ''}`)
    this.#span = { start: 0, end: 0, secretStart: 0, secretEnd: 0 }
  }

  find(text: string, at: number): Span | null {
    const start = at - this.#rule.back
    if (start < 0) return null
    this.#pattern.lastIndex = start
    const match = this.#pattern.exec(text)
    if (match === null) return null
    const [from, to] = match.indices?.[this.#rule.group] ?? [start, start + match[0].length]
    const span = this.#span
    span.start = start
    span.end = start + match[0].length
    span.secretStart = from
    span.secretEnd = to
    return span
  }
}
