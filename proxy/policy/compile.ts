import type { AccessControl, Clock, Logger, Store, JsonObject } from '../api/index.ts'
import type { Diagnostic } from '../base/diagnostic.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import type { PolicyTable } from './table.ts'
import type { Registry } from './registry.ts'

/** What entries get from the process. */
export interface Services {
  readonly clock: Clock
  /** @param entry the chain entry's name */
  logger(entry: string): Logger
  /** One store for all entries: keys are prefixed with the entry's name here. */
  readonly store: Store
  /** The tools of a server as its last `tools/list` told them; `null` when none passed yet. */
  tools(server: string): ReadonlyMap<string, JsonObject> | null
}

export interface PolicyInput {
  /** Policy files in order; none, and nothing inline = pass-through. */
  readonly files: readonly string[]
  /** Parts of `sluice.yaml` (`Config.inlinePolicies`), which stand before the files. */
  readonly inline?: readonly YamlSource[]
  /** Names of the servers that are configured. */
  readonly servers: readonly string[]
  readonly registry: Registry
  readonly services: Services
  readonly env: NodeJS.ProcessEnv
  /** Whether warnings are errors. */
  readonly strict: boolean
  readonly generation: number
}

export interface CompiledPolicy {
  readonly table: PolicyTable
  readonly warnings: readonly Diagnostic[]
  /** Every file that was read, includes too; absolute. */
  readonly files: readonly string[]
  readonly accessControl: AccessControl | null
}

/** @throws LoadError with every problem found; whatever was created by then is closed */
export function compilePolicies(_input: PolicyInput): Promise<CompiledPolicy> {
  throw new Error('not yet')
}
