import { configJsonSchema } from '../config/schema.ts'
import { policyJsonSchema } from '../policy/json-schema.ts'
import { loadRegistry } from './compile-once.ts'
import { configOrDefault } from './settings.ts'
import { UsageError } from './usage-error.ts'

/** `sluice schema config|policy`: the JSON Schema as text. */
export async function schemaOf(kind: string, interceptors: readonly string[]): Promise<string> {
  return `${JSON.stringify(await makeSchema(kind, interceptors), null, 2)}\n`
}

async function makeSchema(kind: string, interceptors: readonly string[]): Promise<unknown> {
  if (kind === 'config') return configJsonSchema()
  if (kind !== 'policy') throw new UsageError(`schema ${kind}: expected "config" or "policy"`)
  return policyJsonSchema(await loadRegistry(configOrDefault({ interceptors })))
}
