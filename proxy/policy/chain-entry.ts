import {
  type Direction,
  GlobList,
  type Hooks,
  type Interceptor,
  type Kind,
  type Look,
  type Need,
} from '../api/index.ts'
import { fitsMethod, type Matcher } from './match.ts'
import type { Step } from './plan.ts'
import type { RawChainEntry } from './schema.ts'
import { StepCondition } from './when/step-condition.ts'
import type { When } from './when/when.ts'

/** Used where neither the look nor the chain entry says how much it reads. */
export const DEFAULT_MAX_BYTES = 4 * 1024 * 1024

/** Used where neither the definition nor the chain entry says how long a hook may take. */
export const DEFAULT_TIMEOUT_MS = 5000

const BOTH: readonly Direction[] = ['toServer', 'toClient']

const KINDS: readonly Kind[] = ['request', 'response', 'notification']

/** A step with the ways on which it runs. */
export interface DirectedStep {
  readonly step: Step
  /** The methods it is for. */
  readonly methods: GlobList
  /** Those of its methods for which the entry's `match` by method and name does not count. */
  readonly always: GlobList
  /** Which ways its look and the entry's `match` allow. */
  readonly directions: readonly Direction[]
  /** Which ways its look alone allows: for the methods of `always`. */
  readonly everyWay: readonly Direction[]
}

/** One entry of the chain, ready to run. */
export interface ChainEntry {
  readonly slot: number
  readonly name: string
  readonly interceptor: Interceptor
  readonly matcher: Matcher
  readonly hooks: Hooks<unknown>
  readonly steps: { readonly [K in Kind]: DirectedStep | null }
  /** `null` = no `end` hook. */
  readonly end: Step | null
}

/** Everything about an entry but its hooks. */
export interface EntryParts {
  readonly slot: number
  readonly name: string
  readonly interceptor: Interceptor
  readonly matcher: Matcher
  readonly raw: RawChainEntry
  /** Default: none was written. */
  readonly when?: When | null
}

/** Settles everything that depends on the policy alone. The entry's settings go before those of the definition. */
export function chainEntry(parts: EntryParts, hooks: Hooks<unknown>): ChainEntry {
  const { slot, name, interceptor, matcher } = parts
  const directed = (kind: Kind): DirectedStep | null => {
    const look = interceptor.looks[kind]
    if (look === undefined || hooks[kind] === undefined) return null
    const methods = new GlobList(hooks.methods?.[kind] ?? look.methods ?? ['*'])
    const always = new GlobList(look.always ?? [])
    const everyWay = look.directions ?? BOTH
    const directions = everyWay.filter(way => matcher.directions.includes(way))
    return Object.freeze({ step: makeStep(parts, hooks, look, kind), methods, always, directions, everyWay })
  }
  const steps = Object.freeze({
    request: directed('request'),
    response: directed('response'),
    notification: directed('notification'),
  })
  const end = hooks.end === undefined ? null : makeStep(parts, hooks, { need: 'envelope' }, null)
  return Object.freeze({ slot, name, interceptor, matcher, hooks, steps, end })
}

/**
 * The step that runs for a message the entry's `match` fits; `null` where its hook does not look that way.
 * @param method for a response: the method it answers, `''` where nobody knows
 */
export function stepFor(entry: ChainEntry, kind: Kind, direction: Direction, method: string): Step | null {
  const directed = entry.steps[kind]
  if (directed === null) return null
  const ways = directed.always.fits(method) ? directed.everyWay : directed.directions
  if (!ways.includes(direction)) return null
  return fitsMethod(directed.methods, method) ? directed.step : null
}

/** Kinds that have a hook but no look: nobody could tell what they need. */
export function hooksWithoutLook(interceptor: Interceptor, hooks: Hooks<unknown>): Kind[] {
  return KINDS.filter(kind => hooks[kind] !== undefined && interceptor.looks[kind] === undefined)
}

/** Whether the entry does anything at all. */
export function acts(entry: ChainEntry): boolean {
  return entry.end !== null || KINDS.some(kind => entry.steps[kind] !== null)
}

const CLOSENESS: Readonly<Record<Need, number>> = { envelope: 0, bytes: 1, json: 2 }

/** The closer one of two looks. */
export function closer(one: Need, other: Need): Need {
  return CLOSENESS[other] > CLOSENESS[one] ? other : one
}

/** @param kind `null` = for no message: the end of an exchange */
function makeStep(parts: EntryParts, hooks: Hooks<unknown>, look: Look, kind: Kind | null): Step {
  const { slot, name, interceptor, raw, when = null } = parts
  const onFailure = raw.on_failure ?? interceptor.onFailure
  const always = new GlobList(kind === null ? [] : (look.always ?? []))
  // At the end there is the client's message to ask about.
  const condition = when === null ? null : new StepCondition(when, kind ?? 'request', always)
  const need = condition?.readsJson === true ? closer(look.need, 'json') : look.need
  return Object.freeze({
    slot,
    entry: name,
    mode: raw.mode === 'shadow' ? 'shadow' : 'enforce',
    hooks,
    condition,
    need,
    edits: look.edits ?? false,
    // The envelope of a message is at hand whatever its size: that alone is no reason to skip or refuse it.
    maxBytes: raw.max_bytes ?? look.maxBytes ?? (need === 'envelope' ? Number.MAX_SAFE_INTEGER : DEFAULT_MAX_BYTES),
    tooBig: raw.too_big ?? look.tooBig ?? (onFailure === 'closed' ? 'deny' : 'skip'),
    onFailure,
    timeoutMs: raw.timeout ?? interceptor.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    recheck: kind === 'request' && interceptor.recheck === true,
    answer: raw.answer,
  })
}
