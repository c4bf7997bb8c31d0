import type { Json } from '#api'
import { brief } from './json.ts'
import { Unusable } from './unusable.ts'

/** The dialects that are understood. Without `$schema` it is 2020-12 (MCP, "JSON Schema usage"). */
export type Dialect = '2020-12' | 'draft-07'

const DIALECTS: ReadonlyMap<string, Dialect> = new Map([
  ['json-schema.org/draft/2020-12/schema', '2020-12'],
  ['json-schema.org/draft-07/schema', 'draft-07'],
])

/** @throws Unusable for another dialect: a schema that is not understood is never taken for one that allows everything */
export function dialectOf($schema: Json | undefined): Dialect {
  if ($schema === undefined) return '2020-12'
  const known =
    typeof $schema === 'string' ? DIALECTS.get($schema.replace(/^https?:\/\//, '').replace(/#$/, '')) : undefined
  if (known !== undefined) return known
  throw new Unusable(
    `is of a dialect that is not supported (${brief(JSON.stringify($schema))}); 2020-12 and draft-07 are`,
  )
}
