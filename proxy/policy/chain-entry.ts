import { type Direction, GlobList, type Hooks, type Interceptor, type Kind, type Look } from '../api/index.ts'
import { fitsMethod, type Matcher } from './match.ts'
import type { Step } from './plan.ts'
import type { RawChainEntry } from './schema.ts'

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
  readonly directions: readonly Direction[]
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
}

/** Settles everything that depends on the policy alone. The entry's settings go before those of the definition. */
export function chainEntry(parts: EntryParts, hooks: Hooks<unknown>): ChainEntry {
  const { slot, name, interceptor, matcher } = parts
  const directed = (kind: Kind): DirectedStep | null => {
    const look = interceptor.looks[kind]
    if (look === undefined || hooks[kind] === undefined) return null
    const methods = new GlobList(hooks.methods?.[kind] ?? look.methods ?? ['*'])
    const always = new GlobList(look.always ?? [])
    return Object.freeze({ step: makeStep(parts, hooks, look), methods, always, directions: look.directions ?? BOTH })
  }
  const steps = Object.freeze({
    request: directed('request'),
    response: directed('response'),
    notification: directed('notification'),
  })
  const end = hooks.end === undefined ? null : makeStep(parts, hooks, { need: 'envelope' })
  return Object.freeze({ slot, name, interceptor, matcher, hooks, steps, end })
}

/**
 * The step that runs for a message the entry's `match` fits; `null` where its hook does not look that way.
 * @param method for a response: the method it answers, `''` where nobody knows
 */
export function stepFor(entry: ChainEntry, kind: Kind, direction: Direction, method: string): Step | null {
  const directed = entry.steps[kind]
  if (directed === null || !directed.directions.includes(direction)) return null
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

function makeStep({ slot, name, interceptor, raw }: EntryParts, hooks: Hooks<unknown>, look: Look): Step {
  const onFailure = raw.on_failure ?? interceptor.onFailure
  return Object.freeze({
    slot,
    entry: name,
    mode: raw.mode === 'shadow' ? 'shadow' : 'enforce',
    hooks,
    need: look.need,
    edits: look.edits ?? false,
    // The envelope of a message is at hand whatever its size: that alone is no reason to skip or refuse it.
    maxBytes:
      raw.max_bytes ?? look.maxBytes ?? (look.need === 'envelope' ? Number.MAX_SAFE_INTEGER : DEFAULT_MAX_BYTES),
    tooBig: raw.too_big ?? look.tooBig ?? (onFailure === 'closed' ? 'deny' : 'skip'),
    onFailure,
    timeoutMs: raw.timeout ?? interceptor.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    answer: raw.answer,
  })
}
