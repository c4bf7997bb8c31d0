type Schema = Readonly<Record<string, unknown>>

/** Paths of all leaves of a JSON Schema, `servers.<name>.url`; maps with free names count as `<name>`. */
export function leafPaths(schema: Schema, path: readonly string[] = []): string[] {
  const { properties, additionalProperties } = schema
  if (isSchema(properties)) {
    return Object.entries(properties).flatMap(([key, part]) => leafPaths(part as Schema, [...path, key]))
  }
  if (isSchema(additionalProperties) && Object.keys(additionalProperties).length > 0) {
    return leafPaths(additionalProperties, [...path, '<name>'])
  }
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
