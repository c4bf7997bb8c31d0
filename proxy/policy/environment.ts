import { resolve } from 'node:path'
import type {
  AccessControl,
  Clock,
  Environment,
  Grant,
  Hold,
  JsonObject,
  Logger,
  Quota,
  Rehearsal,
  Store,
} from '../api/index.ts'
import { createCounter, silentCounter } from './counter.ts'

/** What entries get from the process. */
export interface Services {
  readonly clock: Clock
  /** @param entry the chain entry's name */
  logger(entry: string): Logger
  /** One store for all entries: keys are prefixed with the entry's name here. */
  readonly store: Store
  /** The tools of a server as its last `tools/list` told them; `null` when none passed yet. */
  tools(server: string): ReadonlyMap<string, JsonObject> | null
  /** What the entries write when the policy is only tried out. Default: it is not. */
  rehearsal?(entry: string): Rehearsal
}

/** What is the same for all entries of a policy part. */
export interface EnvironmentParts {
  readonly services: Services
  readonly servers: readonly string[]
  readonly accessControl: AccessControl | null
  readonly baseDir: string
}

/** What is the entry's own. */
export interface EntryParts extends EnvironmentParts {
  /** Whether the entry's `match` fits a message. */
  applies(server: string, method: string, name: string, client: string): boolean
}

/** The world as one chain entry sees it. */
export function createEnvironment(entry: string, parts: EntryParts): Environment {
  const { services, servers, accessControl, baseDir } = parts
  return Object.freeze({
    entry,
    clock: services.clock,
    logger: services.logger(entry),
    store: new EntryStore(services.store, `${entry}/`),
    servers,
    accessControl,
    rehearsal: services.rehearsal?.(entry) ?? null,
    // What is only tried out must not be counted as if it had happened.
    counter: services.rehearsal === undefined ? createCounter : silentCounter,
    applies: parts.applies,
    baseDir,
    resolve: (path: string) => resolve(baseDir, path),
    tools: (server: string) => services.tools(server),
  })
}

/** Keeps entries out of each other's keys. */
export class EntryStore implements Store {
  readonly #store: Store
  readonly #prefix: string

  constructor(store: Store, prefix: string) {
    this.#store = store
    this.#prefix = prefix
  }

  get(key: string): Promise<Uint8Array | null> {
    return this.#store.get(this.#prefix + key)
  }

  set(key: string, value: Uint8Array, ttlMs: number): Promise<void> {
    return this.#store.set(this.#prefix + key, value, ttlMs)
  }

  delete(key: string): Promise<void> {
    return this.#store.delete(this.#prefix + key)
  }

  increment(key: string, by: number, ttlMs: number): Promise<number> {
    return this.#store.increment(this.#prefix + key, by, ttlMs)
  }

  take(key: string, amount: number, quota: Quota): Grant | Promise<Grant> {
    return this.#store.take(this.#prefix + key, amount, quota)
  }

  spend(key: string, amount: number, quota: Quota): void {
    this.#store.spend(this.#prefix + key, amount, quota)
  }

  hold(key: string, limit: number, whenDown: Quota['whenDown']): Hold | null | Promise<Hold | null> {
    return this.#store.hold(this.#prefix + key, limit, whenDown)
  }
}
