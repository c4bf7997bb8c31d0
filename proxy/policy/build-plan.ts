import type { Direction, Kind, Need } from '../api/index.ts'
import { type ChainEntry, closer, DEFAULT_MAX_BYTES, stepFor } from './chain-entry.ts'
import { STREAM_METHOD } from './methods.ts'
import type { Phase, Phases, Plan, Step } from './plan.ts'

const NOBODY: Phases = Object.freeze({ request: null, response: null, notification: null })

/** The plan of a message that no entry applies to. */
export const EMPTY_PLAN: Plan = Object.freeze({ toServer: NOBODY, toClient: NOBODY, ends: null })

/** An entry that applies to a message, with what of it does. */
export interface AppliedEntry {
  readonly entry: ChainEntry
  /** One bit for each of `WAYS`, and `END`. */
  readonly parts: number
}

const WAYS: readonly (readonly [Kind, Direction])[] = [
  ['request', 'toServer'],
  ['response', 'toServer'],
  ['notification', 'toServer'],
  ['request', 'toClient'],
  ['response', 'toClient'],
  ['notification', 'toClient'],
]

const END = 1 << WAYS.length
const ANSWER = 1 << 4

/** What of an entry runs for a message; `null` = nothing. */
export function applied(
  entry: ChainEntry,
  server: string,
  method: string,
  name: string,
  client: string,
): AppliedEntry | null {
  const { matcher } = entry
  const misfit = matcher.misfit(server, method, name, client)
  if (misfit === null) return { entry, parts: partsFor(entry, method) | END }
  if (!matcher.server.fits(server) || !matcher.client.fits(client)) return null
  const parts = partsFor(entry, method, true)
  return parts === 0 ? null : { entry, parts }
}

/** @param always whether only steps count that run whatever `match` says of method and name */
function partsFor(entry: ChainEntry, method: string, always = false): number {
  let parts = 0
  for (const [bit, [kind, direction]] of WAYS.entries()) {
    if (always && entry.steps[kind]?.always.fits(method) !== true) continue
    if (stepFor(entry, kind, direction, method) !== null) parts |= 1 << bit
  }
  // An answer that comes on the session's stream could be the answer to anything: who looks at any, looks at it.
  const looksAtAnswers = method === STREAM_METHOD && entry.steps.response?.directions.includes('toClient')
  return looksAtAnswers ? parts | ANSWER : parts
}

/** Equal keys = equal plans, within one table. */
export function planKey(entries: readonly AppliedEntry[]): string {
  return entries.map(({ entry, parts }) => `${entry.slot}.${parts}`).join()
}

/** Makes the plan of the entries that apply, given in file order. */
export function buildPlan(entries: readonly AppliedEntry[]): Plan {
  const ends = entries.flatMap(({ entry, parts }) => (parts & END ? (entry.end ?? []) : []))
  const toServer = buildPhases(entries, 'toServer')
  const toClient = buildPhases(entries.toReversed(), 'toClient')
  if (toServer === NOBODY && toClient === NOBODY && ends.length === 0) return EMPTY_PLAN
  return Object.freeze({ toServer, toClient, ends: ends.length === 0 ? null : Object.freeze(ends) })
}

function buildPhases(entries: readonly AppliedEntry[], direction: Direction): Phases {
  const request = buildPhase(entries, 'request', direction)
  const response = buildPhase(entries, 'response', direction)
  const notification = buildPhase(entries, 'notification', direction)
  if (request === null && response === null && notification === null) return NOBODY
  return Object.freeze({ request, response, notification })
}

function buildPhase(entries: readonly AppliedEntry[], kind: Kind, direction: Direction): Phase | null {
  const bit = WAYS.findIndex(way => way[0] === kind && way[1] === direction)
  const steps = entries.flatMap(({ entry, parts }) => ((parts >> bit) & 1 ? (entry.steps[kind]?.step ?? []) : []))
  if (steps.length === 0) return null
  const need = steps.reduce<Need>((most, step) => closer(most, step.need), 'envelope')
  const edits = steps.some(step => step.edits)
  return Object.freeze({ steps: Object.freeze(steps), need, edits, maxBytes: mostBytes(steps), again: 0 })
}

/** Steps that take any size read no more than the envelope: they are no reason to hold more than the default. */
function mostBytes(steps: readonly Step[]): number {
  const limited = steps.map(step => step.maxBytes).filter(bytes => bytes < Number.MAX_SAFE_INTEGER)
  return limited.length === 0 ? DEFAULT_MAX_BYTES : Math.max(...limited)
}
