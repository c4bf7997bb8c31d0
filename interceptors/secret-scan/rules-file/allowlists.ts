import { RE2JS } from 're2js'
import type { Span } from '../rule-index.ts'

/** Whether something found is none, by the file. */
export type Excuse = (text: string, span: Span) => boolean

/** `[[allowlists]]` of a gitleaks configuration, or of one of its rules. */
export interface RawAllowlist {
  readonly condition?: unknown
  readonly regexes?: unknown
  readonly regexTarget?: unknown
  readonly stopwords?: unknown
  readonly paths?: unknown
  readonly commits?: unknown
  readonly targetRules?: unknown
}

/**
 * What an allow-list excuses. Paths and commits say nothing about a message: a list with the condition AND that needs one of them
 * never holds.
 * @throws Error where a pattern is wrong
 */
export function excuseOf(raw: RawAllowlist): Excuse | null {
  const tests: Excuse[] = []
  const regexes = strings(raw.regexes, 'regexes').map(source => RE2JS.compile(source))
  const target = raw.regexTarget ?? 'secret'
  if (regexes.length > 0) {
    tests.push((text, span) => {
      const subject = subjectOf(text, span, target)
      return regexes.some(regex => regex.matcher(subject).find())
    })
  }
  const stopwords = strings(raw.stopwords, 'stopwords').map(word => word.toLowerCase())
  if (stopwords.length > 0) {
    tests.push((text, span) => {
      const secret = text.slice(span.secretStart, span.secretEnd).toLowerCase()
      return stopwords.some(word => secret.includes(word))
    })
  }
  const needsAll = /^(?:and|&&)$/i.test(String(raw.condition ?? ''))
  const foreign = strings(raw.paths, 'paths').length + strings(raw.commits, 'commits').length > 0
  if (tests.length === 0 || (needsAll && foreign)) return null
  return needsAll
    ? (text, span) => tests.every(test => test(text, span))
    : (text, span) => tests.some(test => test(text, span))
}

function subjectOf(text: string, span: Span, target: unknown): string {
  if (target === 'match') return text.slice(span.start, span.end)
  if (target !== 'line') return text.slice(span.secretStart, span.secretEnd)
  const begin = span.start === 0 ? 0 : text.lastIndexOf('\n', span.start - 1) + 1
  const end = text.indexOf('\n', span.end)
  return text.slice(begin, end === -1 ? text.length : end)
}

/** @throws Error where `value` is no list of strings */
export function strings(value: unknown, name: string): readonly string[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.some(item => typeof item !== 'string')) {
    throw new Error(`${name}: expected a list of strings`)
  }
  return value as string[]
}
