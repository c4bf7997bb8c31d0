import type { CompiledPolicy, PolicyInput } from './compile.ts'
import type { PlanSource } from './plan.ts'

export interface ReloaderOptions {
  /** Gathers the input afresh for each compilation: registry, files, inline parts. May reject with a LoadError. */
  input(): Promise<Omit<PolicyInput, 'generation'>> | Omit<PolicyInput, 'generation'>
  /** Files and folders to watch besides those of the compiled policy: `interceptor_dirs`, `sluice.yaml`. */
  readonly watch?: readonly string[]
  /** Quiet time after a change before it is acted on. Default 100. */
  readonly debounceMs?: number
  /** Files are also compared this often, for file systems that tell nothing. Default 2000, 0 = never. */
  readonly pollMs?: number
}

/**
 * Keeps a policy current: compiles beside the running one and swaps on success only; either way it publishes on
 * `channels.reload`.
 */
export class PolicyReloader {
  readonly source: PlanSource
  /** The policy in use. */
  readonly policy: CompiledPolicy

  private constructor(policy: CompiledPolicy) {
    this.policy = policy
    this.source = { current: policy.table }
  }

  /** Compiles for the first time. Does not watch yet. @throws LoadError */
  static open(_options: ReloaderOptions): Promise<PolicyReloader> {
    throw new Error('not yet')
  }

  /** Starts watching; does not keep the process alive. */
  watch(): void {}

  /** Compiles now (SIGHUP). Resolves to whether the new policy is in use; never rejects. */
  reload(): Promise<boolean> {
    return Promise.resolve(false)
  }

  /** Stops watching and closes the policy once its last exchange has ended. */
  close(): Promise<void> {
    return Promise.resolve()
  }
}
