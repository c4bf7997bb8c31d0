import { fileURLToPath } from 'node:url'
import { policyJsonSchema } from '../../proxy/policy/json-schema.ts'
import { Registry } from '../../proxy/policy/registry.ts'

export const SCHEMA_FILE = fileURLToPath(new URL('../../policies/policy.schema.json', import.meta.url))

/** What `policies/policy.schema.json` should hold. */
export async function policySchemaText(): Promise<string> {
  const registry = await Registry.load({ dirs: [], modules: [], baseDir: '.' })
  return `${JSON.stringify(policyJsonSchema(registry.builtIns()), null, 2)}\n`
}
