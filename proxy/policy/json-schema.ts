import type { Registry } from './registry.ts'

/** JSON Schema of policy files for editors, with the options of every interceptor in the registry. */
export function policyJsonSchema(_registry: Registry): Record<string, unknown> {
  return {}
}
