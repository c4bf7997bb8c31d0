import { LoadError } from '../base/diagnostic.ts'
import { channels, type Reload } from '../observe/channels.ts'
import { type CompiledPolicy, compilePolicies, PolicyError, type PolicyInput } from './compile.ts'
import { CUSTOM_DIR } from './discover.ts'
import type { PlanSource } from './plan.ts'
import { Watcher } from './watch.ts'

export interface ReloaderOptions {
  /** Gathers the input afresh for each compilation: registry, files, inline parts. May reject with a LoadError. */
  input(): Promise<Omit<PolicyInput, 'generation'>> | Omit<PolicyInput, 'generation'>
  /** What is said to be loaded on `channels.reload`. Default `policy`. */
  readonly what?: 'policy' | 'shadow policy'
  /** To watch besides the policy and `interceptors/custom`, absolute: `interceptor_dirs`, `sluice.yaml`. */
  readonly watch?: readonly string[]
  /** Quiet time after a change before it is acted on, in milliseconds. Default 100. */
  readonly debounceMs?: number
  /** Files are also compared this often, for file systems that tell nothing, in milliseconds. Default 2000, 0 = never. */
  readonly pollMs?: number
}

/**
 * Keeps a policy current: compiles beside the running one and swaps on success only; either way it publishes on
 * `channels.reload`. Exchanges end under the table they began with.
 */
export class PolicyReloader {
  readonly source: PlanSource
  readonly #options: ReloaderOptions
  #policy: CompiledPolicy
  #generation = 1
  #watcher: Watcher | null = null
  #running: Promise<boolean> | null = null
  #next: Promise<boolean> | null = null
  #closed = false

  private constructor(policy: CompiledPolicy, options: ReloaderOptions) {
    this.#policy = policy
    this.#options = options
    this.source = { current: policy.table }
  }

  /** Compiles for the first time. Does not watch yet. @throws LoadError */
  static async open(options: ReloaderOptions): Promise<PolicyReloader> {
    const policy = await compilePolicies({ ...(await options.input()), generation: 1 })
    return new PolicyReloader(policy, options)
  }

  /** The policy in use. */
  get policy(): CompiledPolicy {
    return this.#policy
  }

  /** Starts watching every file of the policy; does not keep the process alive. */
  watch(): void {
    if (this.#watcher !== null || this.#closed) return
    const { debounceMs = 100, pollMs = 2000 } = this.#options
    this.#watcher = new Watcher({ debounceMs, pollMs, changed: () => void this.reload() })
    this.#look(this.#policy.files)
  }

  /**
   * Compiles now (SIGHUP). One at a time: calls that come while one runs share the next. Resolves to whether the new
   * policy is in use; never rejects.
   */
  reload(): Promise<boolean> {
    if (this.#running === null) return this.#start()
    this.#next ??= this.#running.then(() => {
      this.#next = null
      return this.#start()
    })
    return this.#next
  }

  /** Stops watching. Resolves when the last exchange has ended and the entries are closed. */
  async close(): Promise<void> {
    this.#closed = true
    this.#watcher?.close()
    await this.#running
    await this.#policy.table.replace()
  }

  #start(): Promise<boolean> {
    if (this.#closed) return Promise.resolve(false)
    this.#running = this.#compile().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #compile(): Promise<boolean> {
    const generation = this.#generation + 1
    this.#watcher?.mark()
    try {
      const policy = await compilePolicies({ ...(await this.#options.input()), generation })
      this.#swap(policy, generation)
      return true
    } catch (error) {
      // The broken files are watched too: their repair is what we wait for.
      if (error instanceof PolicyError) this.#look([...error.files, ...this.#policy.files])
      channels.reload.publish({ what: this.#what, ok: false, generation: this.#generation, text: failure(error) })
      return false
    }
  }

  #swap(policy: CompiledPolicy, generation: number): void {
    const old = this.#policy
    this.#policy = policy
    this.#generation = generation
    this.source.current = policy.table
    this.#look(policy.files)
    void old.table.replace()
    channels.reload.publish({ what: this.#what, ok: true, generation, text: '' })
  }

  get #what(): Reload['what'] {
    return this.#options.what ?? 'policy'
  }

  #look(files: readonly string[]): void {
    this.#watcher?.look([...files, CUSTOM_DIR, ...(this.#options.watch ?? [])])
  }
}

function failure(error: unknown): string {
  if (error instanceof LoadError) return error.message
  return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
}
