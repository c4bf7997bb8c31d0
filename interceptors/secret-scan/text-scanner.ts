import type { Budget } from './budget.ts'
import { ALNUM, is } from './classes.ts'
import { entropyOf, isOrdinary, isPasswordLike, isPlaceholder, isStated } from './looks-like.ts'
import { beginText, mayBegin } from './raw-tests.ts'
import type { Rule } from './rule.ts'
import type { ActiveRule, KeywordTest, RuleIndex, Span } from './rule-index.ts'

/** A secret in a text. */
export interface Hit {
  readonly rule: Rule
  /** The secret itself, without the name or scheme around it. */
  readonly start: number
  readonly end: number
  readonly value: string
}

/** No keyword is longer. */
const MAX_KEYWORD = 64
const BEYOND_LATIN1 = /[\u0100-\uffff]/

/** Looks for secrets in decoded text. */
export class TextScanner {
  readonly #index: RuleIndex
  /** Grows to the longest text seen, which is bounded by the largest message. */
  #scratch: Buffer

  constructor(index: RuleIndex) {
    this.#index = index
    this.#scratch = Buffer.allocUnsafe(4096)
  }

  /**
   * All hits in a text, in no particular order; the same secret may be hit by several rules.
   * @param keywordsBefore only keywords that begin before this position count
   */
  scan(text: string, budget: Budget, keywordsBefore = text.length): Hit[] {
    const hits: Hit[] = []
    const { dfa, tests, everywhere } = this.#index
    const { table, firstAccept, ends } = dfa
    const bytes = this.#bytesOf(text)
    beginText()
    let state = 0
    for (let i = 0; i < bytes.length; i++) {
      state = table[(state << 8) | (bytes[i] as number)] as number
      if (state < firstAccept) continue
      for (const keyword of ends[state - firstAccept] as readonly number[]) {
        const test = tests[keyword] as KeywordTest | null
        if (test === null || i + 1 - test.length >= keywordsBefore || !mayBegin(test, bytes, i + 1)) continue
        this.#keyword(text, keyword, i + 1 - test.length, budget, hits)
      }
      if (budget.exhausted !== '' || i >= keywordsBefore + MAX_KEYWORD) break
    }
    for (const active of everywhere) this.#everywhere(text, active, budget, hits)
    return hits
  }

  /** One byte a character, as the look at raw bytes wants it; what is beyond Latin-1 is nothing of ours. */
  #bytesOf(text: string): Buffer {
    if (this.#scratch.length < text.length) this.#scratch = Buffer.allocUnsafe(text.length * 2)
    const bytes = this.#scratch.subarray(0, text.length)
    if (!BEYOND_LATIN1.test(text)) bytes.write(text, 'latin1')
    else for (let i = 0; i < text.length; i++) bytes[i] = Math.min(text.charCodeAt(i), 255)
    return bytes
  }

  #keyword(text: string, keyword: number, at: number, budget: Budget, hits: Hit[]): void {
    for (const active of this.#index.rules[keyword] as readonly ActiveRule[]) {
      const { rule } = active
      const start = at - rule.back
      if (start < 0 || (rule.kind === 'token' && rule.bounded && start > 0 && is(text.charCodeAt(start - 1), ALNUM)))
        continue
      if (!budget.spend(active.finder.weight)) return
      const span = active.finder.find(text, at)
      if (span !== null && accepts(active, text, span)) add(hits, rule, text, span)
    }
  }

  #everywhere(text: string, active: ActiveRule, budget: Budget, hits: Hit[]): void {
    for (let at = 0; at < text.length; ) {
      if (!budget.spend(active.finder.weight)) return
      const span = active.finder.find(text, at)
      if (span === null) return
      if (accepts(active, text, span)) add(hits, active.rule, text, span)
      at = Math.max(span.end, at + 1)
    }
  }
}

/** Hits come in the order of their keywords, so one that overlaps is not far back. */
const LOOK_BACK = 32

function add(hits: Hit[], rule: Rule, text: string, { secretStart: start, secretEnd: end }: Span): void {
  for (let i = hits.length - 1; i >= 0 && i >= hits.length - LOOK_BACK; i--) {
    const hit = hits[i] as Hit
    if (hit.rule === rule && hit.start < end && start < hit.end) return
  }
  hits.push({ rule, start, end, value: text.slice(start, end) })
}

function accepts(active: ActiveRule, text: string, span: Span): boolean {
  const { rule } = active
  const value = text.slice(span.secretStart, span.secretEnd)
  if (value === '') return false
  if (rule.entropy > 0 && entropyOf(value) < rule.entropy) return false
  if (rule.placeholders && isPlaceholder(value)) return false
  if (rule.kind === 'assign' && !isStated(value)) return false
  if (rule.kind === 'url' && !isStatedPassword(value)) return false
  if (rule.generic && (rule.id === 'generic-password' ? !isPasswordLike(value) : isOrdinary(value))) return false
  if ((rule.notAfter.length > 0 || rule.notBefore.length > 0) && isExcused(rule, text, span)) return false
  return active.accepts === null || active.accepts(text, span)
}

/** Passwords of URLs in documentation. */
const SAMPLE_PASSWORDS =
  /^(?:pass(?:word|wd)?|pwd|secret|user|\[?password\]?|your.*|[xX*.]+|\$.*|%[A-Za-z_]+%?|\{.*|:.*)$/

function isStatedPassword(value: string): boolean {
  return !SAMPLE_PASSWORDS.test(value)
}

const MAX_NAME = 48

/** Whether the name that the value is assigned to says that it is no credential. */
function isExcused(rule: Rule, text: string, span: Span): boolean {
  let nameStart = span.start
  while (nameStart > 0 && span.start - nameStart < MAX_NAME && /[\w.-]/.test(text[nameStart - 1] ?? '')) nameStart--
  const before = text.slice(nameStart, span.start).toLowerCase()
  if (rule.notAfter.some(word => before.includes(word))) return true
  const name = /^[\w.-]*/.exec(text.slice(span.start, span.secretStart))?.[0].toLowerCase() ?? ''
  return rule.notBefore.some(word => name.includes(word))
}
