import type { Direction, Hooks, Interceptor, Kind } from '../api/index.ts'
import { type ChainEntry, chainEntry, hooksWithoutLook, stepFor } from '../policy/chain-entry.ts'
import { Matcher } from '../policy/match.ts'
import type { Step } from '../policy/plan.ts'
import type { RawChainEntry } from '../policy/schema.ts'

/** What a chain entry may say besides `use:` and `options:`. */
export interface EntryOptions {
  readonly onFailure?: 'open' | 'closed'
  readonly timeoutMs?: number
  readonly maxBytes?: number
  readonly tooBig?: 'skip' | 'deny'
}

/** The interceptor as a chain of one, with the settings a policy would give it. */
export class ProbeSteps {
  readonly looks: Interceptor['looks']
  readonly hooks: Hooks<unknown>
  /** Stands for the entry as a whole. */
  readonly whole: Step
  private readonly entry: ChainEntry

  /** @throws TypeError where a hook has no look, as a policy would at load */
  constructor(interceptor: Interceptor, hooks: Hooks<unknown>, options: EntryOptions) {
    const [kind] = hooksWithoutLook(interceptor, hooks)
    if (kind !== undefined) {
      throw new TypeError(`${interceptor.name}: it has a ${kind} hook but no looks.${kind}; say how closely it looks`)
    }
    const raw = rawEntry(interceptor.name, options)
    const parts = { slot: 0, name: interceptor.name, interceptor, matcher: new Matcher({}), raw }
    this.looks = interceptor.looks
    this.hooks = hooks
    this.entry = chainEntry(parts, hooks)
    const end = chainEntry(parts, { end: () => undefined }).end
    if (end === null) throw new Error('an entry with an end hook has an end step')
    this.whole = { ...end, hooks }
  }

  /** The step for a message, `null` where the interceptor does not look. */
  find(kind: Kind, direction: Direction, method: string): Step | null {
    return stepFor(this.entry, kind, direction, method)
  }
}

function rawEntry(use: string, { onFailure, timeoutMs, maxBytes, tooBig }: EntryOptions): RawChainEntry {
  return {
    use,
    mode: 'enforce',
    answer: 'auto',
    on_failure: onFailure,
    timeout: timeoutMs,
    max_bytes: maxBytes,
    too_big: tooBig,
  }
}
