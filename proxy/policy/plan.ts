import type { Direction, Hooks, Kind, Message, Need, Principal } from '../api/index.ts'

/** What a condition may ask of an exchange. */
export interface Asked {
  readonly server: string
  readonly principal: Principal
  /** The client's message, as it is now. */
  readonly request: Message
  /** The fields of the client's HTTP request, names in lower case; without credentials. */
  headers(): ReadonlyMap<string, string>
}

/** The `when:` of a chain entry, ready to be asked before a step runs. */
export interface Condition {
  /** As written. */
  readonly text: string
  /** Whether it reads the JSON of the message; else it can be asked at any size. */
  readonly readsJson: boolean
  /** @throws SluiceError when it cannot be decided for this message: counts as a failure of the entry */
  holds(message: Message, asked: Asked): boolean
}

/** One chain entry as one phase of a plan runs it. Everything that depends only on the policy is settled here. */
export interface Step {
  /** Position of the entry in the whole chain, from 0: also its slot for state and timing in an exchange. */
  readonly slot: number
  /** The entry's own name: `access`, `jq#2`. */
  readonly entry: string
  readonly mode: 'enforce' | 'shadow'
  readonly hooks: Hooks<unknown>
  /** `null` = it always runs. */
  readonly condition: Condition | null
  readonly need: Need
  readonly edits: boolean
  readonly maxBytes: number
  readonly tooBig: 'skip' | 'deny'
  readonly onFailure: 'open' | 'closed'
  readonly timeoutMs: number
  /** Whether it runs again on a request that an entry behind it has changed. */
  readonly recheck: boolean
  /** How a refusal of a `tools/call` is worded; `auto` = by the error table's `actionable`. */
  readonly answer: 'auto' | 'result' | 'error'
}

/** What runs for one kind of message in one direction, in running order, and the closest look among it. */
export interface Phase {
  readonly steps: readonly Step[]
  readonly need: Need
  readonly edits: boolean
  /** The largest `maxBytes` of its steps: no more than this is ever buffered. */
  readonly maxBytes: number
  /** How many of its first steps run again because of an edit: what these change is not checked once more. */
  readonly again: number
}

/** The phases of one direction; `null` = nobody looks, bytes are piped. */
export type Phases = { readonly [K in Kind]: Phase | null }

/** What is left of the chain for one (server, method, name, client), precomputed and frozen. */
export interface Plan {
  /** File order. */
  readonly toServer: Phases
  /** Reverse file order. */
  readonly toClient: Phases
  /** Entries with an `end` hook that apply here; `null` when there are none. */
  readonly ends: readonly Step[] | null
}

export type PlanDirection = { readonly [D in Direction]: Phases }

/** All plans of one loaded policy. Frozen; a reload makes a new one. */
export interface PlanTable {
  /** 1 for the first table of the process, one more with each reload. */
  readonly generation: number
  /** Number of chain entries: the length of an exchange's state array. */
  readonly slots: number
  /** Names by slot, for timings and metrics. */
  readonly entries: readonly string[]
  /**
   * The plan for one message. Never fails: an unknown server, method, name or client has a plan too.
   * `method` is `''` for a client's answer to a server request that this process did not see: then every entry that
   * could match one of the server-to-client methods applies.
   */
  find(server: string, method: string, name: string, client: string): Plan
  /** The steps that decide by what is asked for, for a request that an entry has changed; in file order. */
  rechecks(server: string, method: string, name: string, client: string): readonly Step[]
  /** Whether any server-to-client request or notification on this server could be looked at for this client. */
  looksAtStreams(server: string, client: string): boolean
  /** Counts an exchange in; the table is closed after it was replaced and its last exchange was released. */
  retain(): void
  release(): void
}

/** The current table. Reload swaps the field; an exchange keeps the table it began with. */
export interface PlanSource {
  current: PlanTable
}
