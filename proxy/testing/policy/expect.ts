import type { JsonObject } from '../../api/index.ts'
import type { RawExpected, RawThen } from '../../policy/test-schema.ts'
import type { Happened, Word } from './happened.ts'
import { type Mismatch, matchValue } from './match-value.ts'

const WORDS: readonly Word[] = ['allowed', 'denied', 'replied', 'dropped', 'failed']

/** How what happened differs from what a test expects; paths are below its `then`. */
export function judge(then: RawThen, happened: Happened): Mismatch[] {
  if (typeof then === 'string') return judgeWord(then, true, happened, [])
  const word = WORDS.find(one => then[one] !== undefined)
  const wrong = word === undefined ? [] : judgeWord(word, then[word], happened, [word])
  return [...wrong, ...judgeRest(then, happened)]
}

function judgeWord(word: Word, reason: unknown, happened: Happened, path: readonly string[]): Mismatch[] {
  if (word !== happened.word) {
    const said = typeof reason === 'string' ? `${word}: ${reason}` : word
    return [{ path, expected: said, actual: describe(happened) }]
  }
  return reason === true ? [] : matchValue(reason, happened.outcome.reason, path)
}

/** What became of the message, in one line. */
export function describe({ word, outcome, by, sent }: Happened): string {
  const who = by === '' ? '' : ` by ${by}`
  if (word !== 'allowed') return `${word}${who}: ${outcome.reason}`
  return sent === null ? 'allowed' : `allowed: the server got ${String(sent['method'] ?? 'an answer')}`
}

function judgeRest(then: RawExpected, happened: Happened): Mismatch[] {
  const { outcome, by, sent, answer } = happened
  const params = sent === null ? undefined : (sent['params'] as JsonObject | undefined)
  const actual: Readonly<Record<string, unknown>> = {
    by: by === '' ? undefined : by,
    code: outcome.code ?? undefined,
    http_status: outcome.httpStatus,
    server_asked: sent !== null,
    call: params?.['name'] ?? params?.['uri'],
    arguments: params?.['arguments'],
    params,
    result: answer?.['result'],
    error: answer?.['error'],
    events: happened.events,
    notes: outcome.notes,
    audit: happened.written.at(-1),
  }
  return Object.entries(then).flatMap(([key, value]) => {
    return key in actual ? matchValue(value, actual[key], [key]) : []
  })
}
