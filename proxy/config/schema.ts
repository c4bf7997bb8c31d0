/** JSON Schema of `sluice.yaml` for editors. */
export function configJsonSchema(): Record<string, unknown> {
  return {}
}
