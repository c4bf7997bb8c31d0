import type { Direction, Kind, Need } from '../api/index.ts'
import type { ChainEntry } from './chain-entry.ts'
import type { Phase, Phases, Plan, Step } from './plan.ts'

const CLOSENESS: Readonly<Record<Need, number>> = { envelope: 0, bytes: 1, json: 2 }

const NOBODY: Phases = Object.freeze({ request: null, response: null, notification: null })

/** The plan of a message that no entry applies to. */
export const EMPTY_PLAN: Plan = Object.freeze({ toServer: NOBODY, toClient: NOBODY, ends: null })

/** Makes the plan of the entries that apply, given in file order. */
export function buildPlan(entries: readonly ChainEntry[]): Plan {
  const ends = entries.flatMap(entry => entry.end ?? [])
  const toServer = buildPhases(entries, 'toServer')
  const toClient = buildPhases(entries.toReversed(), 'toClient')
  if (toServer === NOBODY && toClient === NOBODY && ends.length === 0) return EMPTY_PLAN
  return Object.freeze({ toServer, toClient, ends: ends.length === 0 ? null : Object.freeze(ends) })
}

function buildPhases(entries: readonly ChainEntry[], direction: Direction): Phases {
  const request = buildPhase(entries, 'request', direction)
  const response = buildPhase(entries, 'response', direction)
  const notification = buildPhase(entries, 'notification', direction)
  if (request === null && response === null && notification === null) return NOBODY
  return Object.freeze({ request, response, notification })
}

function buildPhase(entries: readonly ChainEntry[], kind: Kind, direction: Direction): Phase | null {
  const steps = entries.flatMap(entry => {
    const directed = entry.steps[kind]
    return directed?.directions.includes(direction) ? directed.step : []
  })
  if (steps.length === 0) return null
  const need = steps.reduce<Need>(
    (most, step) => (CLOSENESS[step.need] > CLOSENESS[most] ? step.need : most),
    'envelope',
  )
  return Object.freeze({
    steps: Object.freeze(steps),
    need,
    edits: steps.some(step => step.edits),
    maxBytes: mostBytes(steps),
  })
}

/** Steps that read the envelope only hold nothing, so they count only where there are no others. */
function mostBytes(steps: readonly Step[]): number {
  const readers = steps.filter(step => step.need !== 'envelope')
  return Math.max(...(readers.length === 0 ? steps : readers).map(step => step.maxBytes))
}
