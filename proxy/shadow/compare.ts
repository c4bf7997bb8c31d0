import type { Json, Outcome, VerdictRecord } from '../api/index.ts'
import { differingPaths, MAX_PATHS } from './json-paths.ts'
import { bodyMessages, parsed } from './messages.ts'
import type { Recording } from './recording.ts'
import type { SecondRun } from './run-again.ts'

export type Word = 'allowed' | 'denied' | 'replied' | 'dropped' | 'failed' | 'aborted'

/** One way in which a second run came out otherwise. */
export interface Change {
  /** `allowed -> denied`; `request` = another message would go to the server; `answer` = another one to the client. */
  readonly what: string
  /** The chain entries that made the difference. */
  readonly entries: readonly string[]
  /** The error code of a refusal; `''` = none. */
  readonly code: string
  /** Where the JSON differs, without values. */
  readonly paths: readonly string[]
}

export interface Comparison {
  readonly outcome: 'same' | 'different' | 'skipped'
  /** Why it says nothing, where it was skipped. */
  readonly why: string
  readonly changes: readonly Change[]
}

/** What became of an exchange, as far as two runs are compared. */
export interface Verdicted {
  readonly word: Word
  readonly code: string
  /** The chain entry that decided; `''` = none did. */
  readonly by: string
}

const DECISIONS = new Set(['deny', 'reply', 'drop', 'fail'])
const LET_THROUGH: Verdicted = { word: 'allowed', code: '', by: '' }
const SAME: Comparison = { outcome: 'same', why: '', changes: [] }

export function verdictOf(outcome: Outcome): Verdicted {
  const { status, code, verdicts } = outcome
  const decided = verdicts.findLast(record => record.mode === 'enforce' && DECISIONS.has(record.action))
  const word = status === 'ok' || status === 'error' || status === 'tool_error' ? 'allowed' : status
  return { word, code: code ?? '', by: word === 'allowed' ? '' : (decided?.entry ?? '') }
}

/**
 * How a second run of an exchange differs from the first.
 * @param lackedAnswer whether the first was such a run itself, and came as far as the server
 * @throws Error when a body cannot be unpacked
 */
export function compare(before: Recording, run: SecondRun, lackedAnswer = false): Comparison {
  const first: Verdicted = lackedAnswer ? LET_THROUGH : verdictOf(before.outcome)
  const second: Verdicted = run.lacksAnswer ? LET_THROUGH : verdictOf(run.recording.outcome)
  if (first.word === 'aborted') return skipped('the client left before the answer had ended')
  if (run.asked) return skipped('an interceptor wanted to ask the server')
  if (run.lacksAnswer && !lackedAnswer && before.answer !== null)
    return skipped('the proxy had cut the answer of the server off')
  if (run.lacksAnswer && first.word === 'replied') return skipped('the answer would have come from the server')
  if (first.word !== second.word || first.code !== second.code) return different([verdictChange(first, second)])
  return first.word === 'allowed' ? compareMessages(before, run.recording, lackedAnswer || run.lacksAnswer) : SAME
}

export function verdictChange(first: Verdicted, second: Verdicted): Change {
  const what = first.word === second.word ? `${first.word} otherwise` : `${first.word} -> ${second.word}`
  const by = second.by === '' ? first.by : second.by
  return { what, entries: by === '' ? [] : [by], code: second.code === '' ? first.code : second.code, paths: [] }
}

function compareMessages(before: Recording, after: Recording, isCut: boolean): Comparison {
  const entries = editorsOf(before.outcome, after.outcome)
  const changes: Change[] = []
  const sent = before.sent === null || after.sent === null ? [] : bodyPaths(before.sent, after.sent)
  if (sent.length > 0) changes.push({ what: 'request', entries: entries.toServer, code: '', paths: sent })
  const answer = isCut ? [] : differingPaths(messagesOf(before), messagesOf(after)).map(withoutIndex)
  if (answer.length > 0) {
    const paths = [...new Set(answer)].slice(0, MAX_PATHS)
    changes.push({ what: 'answer', entries: entries.toClient, code: '', paths })
  }
  return changes.length === 0 ? SAME : different(changes)
}

function bodyPaths(before: Buffer, after: Buffer): string[] {
  return before.equals(after) ? [] : differingPaths(parsed(before), parsed(after))
}

function messagesOf({ reply }: Recording): Json[] {
  return bodyMessages(reply.headers, reply.body)
}

/** The one answer there usually is needs no number. */
function withoutIndex(path: string): string {
  return path.replace(/^\[0\]\.?/, '')
}

/** The entries whose edits are not the same in both runs; where all are, everyone who edited in the second. */
function editorsOf(before: Outcome, after: Outcome): { toServer: string[]; toClient: string[] } {
  const of = (direction: VerdictRecord['direction']): string[] => {
    const first = editsOf(before, direction)
    const second = editsOf(after, direction)
    const names = new Set([...first.keys(), ...second.keys()])
    const changed = [...names].filter(name => first.get(name) !== second.get(name))
    return changed.length > 0 ? changed : [...second.keys()]
  }
  return { toServer: of('toServer'), toClient: of('toClient') }
}

/** How often each entry edited, and to which sizes. */
function editsOf({ verdicts }: Outcome, direction: VerdictRecord['direction']): Map<string, string> {
  const found = new Map<string, string>()
  for (const { entry, mode, action, direction: way, kind, reason } of verdicts) {
    if (mode !== 'enforce' || action !== 'edit' || way !== direction) continue
    found.set(entry, `${found.get(entry) ?? ''}${kind} ${reason};`)
  }
  return found
}

function different(changes: readonly Change[]): Comparison {
  return { outcome: 'different', why: '', changes }
}

function skipped(why: string): Comparison {
  return { outcome: 'skipped', why, changes: [] }
}
