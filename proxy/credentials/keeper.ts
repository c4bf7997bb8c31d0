import type { Clock } from '../api/index.ts'
import { channels } from '../observe/channels.ts'
import { FileWatch } from './file-watch.ts'
import { type Part, type ReplicaPart, readAll, readerOf, storeOf, tokensOf } from './read-all.ts'
import { SecretError } from './read-secret.ts'
import { sameSpec } from './same-spec.ts'
import type { ShownValues } from './shown.ts'
import type { CredentialSpec, CredentialsSpec, TokenSpec } from './spec.ts'
import type { SecretStore } from './store/secret-store.ts'
import { systemTimers, type Timers } from './token/timers.ts'
import { type AskEndpoint, askEndpoint } from './token/token-endpoint.ts'
import { FORGETFUL, keepIn, type TokenKeep } from './token/token-keep.ts'
import { TokenSource } from './token/token-source.ts'
import { valuesOf } from './values-of.ts'

export interface KeeperOptions {
  readonly spec: CredentialsSpec
  readonly clock: Clock
  /** Takes all that is shown, after each change. */
  publish(all: readonly ShownValues[]): void
  /** How often files are looked at, in milliseconds; 0 = never. Default 2000. */
  readonly pollMs?: number
  readonly timers?: Timers
  readonly ask?: AskEndpoint
  /** Between 0 and 1. Default `Math.random`. */
  readonly random?: () => number
}

/** What a replica gets when it starts. Never in arguments. */
export interface ReplicaSecrets {
  readonly env: Readonly<Record<string, string>>
  /** Name -> content. */
  readonly files: ReadonlyMap<string, Uint8Array>
}

/**
 * Keeps everything that servers are shown: reads it, watches where it comes from, renews tokens, and publishes what holds
 * now. There is one of it for all workers, because a refresh token may be used once.
 */
export class CredentialKeeper {
  readonly #options: KeeperOptions
  readonly #watch: FileWatch
  readonly #tokens = new Map<string, TokenSource>()
  readonly #versions = new Map<string, { fields: string; version: number }>()
  readonly #told = new Map<string, string>()
  readonly #listeners = new Set<(server: string) => void>()
  #spec: CredentialsSpec
  #store: SecretStore | null = null
  #keep: TokenKeep = FORGETFUL
  #parts: readonly Part[] = []
  #replicas: ReadonlyMap<string, ReplicaPart> = new Map()
  #values: readonly ShownValues[] = []
  #loading: Promise<void> = Promise.resolve()
  #isPending = false
  #closed = false

  private constructor(options: KeeperOptions) {
    this.#options = options
    this.#spec = options.spec
    this.#watch = new FileWatch(() => void this.#reload(), options.pollMs)
  }

  /** Reads everything once. What cannot be read is logged, and its servers go without; tokens are fetched meanwhile. */
  static async open(options: KeeperOptions): Promise<CredentialKeeper> {
    const keeper = new CredentialKeeper(options)
    await keeper.#reload()
    return keeper
  }

  /** What is shown now. */
  get values(): readonly ShownValues[] {
    return this.#values
  }

  /** Takes another configuration. Resolves when it holds. */
  apply(spec: CredentialsSpec): Promise<void> {
    if (sameSpec(spec, this.#spec)) return this.#loading
    this.#spec = spec
    return this.#reload()
  }

  /** Looks at all files now. */
  async look(): Promise<void> {
    await this.#watch.look()
    await this.#loading
  }

  /**
   * A request found `version` refused, or over. Publishes in any case, so that whoever asked learns what is.
   * @returns whether a newer one is there or on its way
   */
  renew(server: string, client: string, version: number): boolean {
    const part = this.#parts.find(one => one.server === server && one.client === client)
    const now = this.#values.find(one => one.server === server && one.client === client)
    const token = part === undefined ? undefined : this.#tokenOf(part.spec)
    const isOld = now !== undefined && now.version > version && now.fields !== null
    const comes = isOld || (token?.renew() ?? false)
    this.#publish()
    return comes
  }

  /**
   * What a replica of `server` gets now.
   * @throws SecretError `No credential found for …` when a part of it cannot be had
   */
  replicaSecrets(server: string): ReplicaSecrets {
    const part = this.#replicas.get(server)
    if (part === undefined) return { env: {}, files: new Map() }
    const problem = part.env.problem || part.files.problem
    // Clients may come to read this. Which part and where it was looked for stands in the log already.
    if (problem !== '') throw new SecretError(`No credential found for ${server}`)
    this.#tellReplica(server, part)
    const env = Object.fromEntries([...part.env.values].map(([name, value]) => [name, value.toString()]))
    return { env, files: part.files.values }
  }

  /** @param listener told the server whose replicas would now get something else. @returns what ends it */
  onReplicaChange(listener: (server: string) => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  close(): void {
    this.#closed = true
    this.#watch.close()
    for (const token of this.#tokens.values()) token.close()
  }

  /** One at a time; calls that come while one runs share the next. */
  #reload(): Promise<void> {
    if (this.#isPending) return this.#loading
    this.#isPending = true
    this.#loading = this.#loading.then(() => {
      this.#isPending = false
      return this.#closed ? undefined : this.#load().catch(failed)
    })
    return this.#loading
  }

  async #load(): Promise<void> {
    const spec = this.#spec
    this.#store = storeOf(spec, this.#options.clock)
    this.#keep = this.#store === null ? FORGETFUL : keepIn(this.#store)
    // Watched before they are read: a change in between is seen as one.
    const { files } = await readAll(spec, this.#store)
    await this.#watch.watch(this.#watched(spec, files))
    const { parts, replicas, problems } = await readAll(spec, this.#store)
    const before = this.#replicas
    this.#parts = parts
    this.#replicas = replicas
    await this.#changeTokens()
    this.#tellProblems(problems)
    this.#publish()
    for (const [server, part] of replicas) if (!sameValues(part, before.get(server))) this.#tellListeners(server)
  }

  #watched(spec: CredentialsSpec, files: ReadonlySet<string>): Set<string> {
    return this.#store === null ? new Set(files) : new Set([...files, spec.storeFile, spec.keyFile])
  }

  /** A token whose configuration stays goes on as it is. */
  async #changeTokens(): Promise<void> {
    const wanted = tokensOf(this.#parts)
    for (const [name, token] of this.#tokens) {
      if (wanted.some(spec => sameSpec(spec, token.spec))) continue
      token.close()
      this.#tokens.delete(name)
    }
    for (const spec of wanted) {
      const known = this.#tokens.get(spec.name)
      if (known !== undefined) await known.reread()
      else await this.#startToken(spec)
    }
  }

  async #startToken(spec: TokenSpec): Promise<void> {
    const { clock, timers = systemTimers, ask = askEndpoint, random = Math.random } = this.#options
    const keep: TokenKeep = {
      load: name => this.#keep.load(name),
      save: (name, token) => this.#keep.save(name, token),
    }
    const token = new TokenSource({
      ...{ spec, clock, timers, ask, keep, random },
      reader: () => readerOf(this.#spec, this.#store),
      servers: () => this.#serversOf(spec.name),
      changed: () => this.#publish(),
    })
    this.#tokens.set(spec.name, token)
    await token.start()
  }

  #serversOf(token: string): string {
    const names = this.#parts.filter(({ spec }) => spec.token?.name === token).map(({ server }) => server)
    return [...new Set(names)].join(', ')
  }

  #tokenOf({ token }: CredentialSpec): TokenSource | undefined {
    return token === null ? undefined : this.#tokens.get(token.name)
  }

  #publish(): void {
    if (this.#closed) return
    const now = this.#options.clock.now()
    this.#values = this.#parts
      .filter(({ spec }) => spec.headers.length > 0 || spec.token !== null)
      .map(({ server, client, spec, resolved }) => {
        const values = valuesOf(server, client, spec, resolved, this.#tokenOf(spec) ?? null, now)
        return { ...values, version: this.#versionOf(values) }
      })
    this.#options.publish(this.#values)
  }

  #versionOf({ server, client, fields }: Pick<ShownValues, 'server' | 'client' | 'fields'>): number {
    const key = `${server}\0${client}`
    const text = JSON.stringify(fields)
    const before = this.#versions.get(key)
    if (before?.fields === text) return before.version
    const version = (before?.version ?? 0) + 1
    this.#versions.set(key, { fields: text, version })
    return version
  }

  /** Each problem once, until it changes. */
  #tellProblems(problems: ReadonlyMap<string, string>): void {
    for (const [whose, error] of problems) {
      if (this.#told.get(whose) === error) continue
      channels.notice.publish({ level: 'error', text: `No credential found for ${whose}`, fields: { error } })
    }
    this.#told.clear()
    for (const [whose, error] of problems) this.#told.set(whose, error)
  }

  #tellReplica(server: string, { env, files }: ReplicaPart): void {
    if (env.values.size + files.values.size === 0) return
    const fields = { server, variables: [...env.values.keys()].join(', '), files: [...files.values.keys()].join(', ') }
    channels.notice.publish({ level: 'info', text: 'a replica gets its credentials', fields })
  }

  #tellListeners(server: string): void {
    for (const listener of this.#listeners) listener(server)
  }
}

function sameValues(a: ReplicaPart, b: ReplicaPart | undefined): boolean {
  if (b === undefined) return a.env.values.size + a.files.values.size === 0
  const same = (one: ReadonlyMap<string, Buffer>, other: ReadonlyMap<string, Buffer>): boolean =>
    one.size === other.size && [...one].every(([name, value]) => other.get(name)?.equals(value) === true)
  return same(a.env.values, b.env.values) && same(a.files.values, b.files.values)
}

/** A fault of our own must not end the watching. */
function failed(error: unknown): void {
  const detail = error instanceof Error ? error.stack : String(error)
  channels.notice.publish({ level: 'error', text: 'credentials could not be read', fields: { error: detail } })
}
