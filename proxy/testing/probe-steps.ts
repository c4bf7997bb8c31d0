import type { Direction, Hooks, Interceptor, Kind, Look } from '../api/index.ts'
import type { Step } from '../policy/plan.ts'

/** What a chain entry may say besides `use:` and `options:`. */
export interface EntryOptions {
  readonly onFailure?: 'open' | 'closed'
  readonly timeoutMs?: number
  readonly maxBytes?: number
  readonly tooBig?: 'skip' | 'deny'
}

const KINDS = ['request', 'response', 'notification'] as const
const DEFAULT_TIMEOUT_MS = 5000
const DEFAULT_MAX_BYTES = 4 * 1024 * 1024

/** The interceptor as a chain of one. */
export class ProbeSteps {
  readonly looks: Interceptor['looks']
  /** Stands for the entry as a whole. */
  readonly end: Step
  private readonly definition: Interceptor
  private readonly hooks: Hooks<unknown>
  private readonly entry: EntryOptions

  /** @throws TypeError where a hook has no look, as a policy would at load */
  constructor(definition: Interceptor, hooks: Hooks<unknown>, entry: EntryOptions) {
    this.definition = definition
    this.looks = definition.looks
    this.hooks = hooks
    this.entry = entry
    for (const kind of KINDS) {
      if (hooks[kind] !== undefined && this.looks[kind] === undefined) {
        throw new TypeError(`${definition.name}: it has a ${kind} hook but no looks.${kind}; say how closely it looks`)
      }
    }
    this.end = this.step({ need: 'envelope' })
  }

  /** The step for a message, `null` where the interceptor does not look. */
  find(kind: Kind, direction: Direction): Step | null {
    const look = this.looks[kind]
    if (look === undefined || this.hooks[kind] === undefined) return null
    return look.directions === undefined || look.directions.includes(direction) ? this.step(look) : null
  }

  private step(look: Look): Step {
    const onFailure = this.entry.onFailure ?? this.definition.onFailure
    return {
      slot: 0,
      entry: this.definition.name,
      mode: 'enforce',
      hooks: this.hooks,
      need: look.need,
      edits: look.edits ?? false,
      maxBytes: this.entry.maxBytes ?? look.maxBytes ?? DEFAULT_MAX_BYTES,
      tooBig: this.entry.tooBig ?? look.tooBig ?? (onFailure === 'closed' ? 'deny' : 'skip'),
      onFailure,
      timeoutMs: this.entry.timeoutMs ?? this.definition.timeoutMs ?? DEFAULT_TIMEOUT_MS,
      answer: 'auto',
    }
  }
}
