type Schema = Readonly<Record<string, unknown>>

/** Paths of all leaves of a JSON Schema, `servers.<name>.url`; maps with free names count as `<name>`. */
export function leafPaths(schema: Schema, path: readonly string[] = []): string[] {
  const { properties, additionalProperties } = schema
  const named = isSchema(properties)
    ? Object.entries(properties).flatMap(([key, part]) => leafPaths(part as Schema, [...path, key]))
    : []
  const free =
    isSchema(additionalProperties) && Object.keys(additionalProperties).length > 0
      ? leafPaths(additionalProperties, [...path, '<name>'])
      : []
  if (named.length + free.length > 0) return [...named, ...free]
  return [path.join('.')]
}

/** Names of the properties of the first object in a JSON Schema that has a property `marker`. */
export function propertiesOf(schema: unknown, marker: string): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const { properties } = schema as Schema
  if (isSchema(properties) && marker in properties) return Object.keys(properties)
  for (const part of Object.values(schema)) {
    const found = propertiesOf(part, marker)
    if (found.length > 0) return found
  }
  return []
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
