import { RE2JS } from 're2js'
import { isJsonObject, type Json, type JsonObject } from '#api'
import type { Path } from './json-strings.ts'

/** References followed and branches entered for one value. */
const MAX_STEPS = 200
const MAX_PATTERN = 1000

/** What to do with a value that would take the place of one in `structuredContent`. */
export type Fit =
  /** This value may stand there. */
  | { readonly as: 'value'; readonly value: string }
  /** No string of ours may, but the member may be left out. */
  | { readonly as: 'absence' }
  /** Neither. */
  | { readonly as: 'nothing' }

/**
 * Makes a redacted value fit the tool's `outputSchema`: shortened or padded where only its length is wrong, else left out where the
 * member is optional. The schema is the server's: untrusted, so everything here is bounded. What is not understood (`$ref` to
 * elsewhere, patterns that RE2 does not know) counts as not fitting.
 * @param path from `structuredContent` on
 */
export function fitTo(schema: JsonObject, path: Path, value: string, isNumber: boolean): Fit {
  const walk = new SchemaWalk(schema)
  const candidate = isNumber ? Number(value) : value
  if (walk.allows(schema, path, candidate)) return { as: 'value', value }
  if (!isNumber) {
    const { max, min } = walk.lengths
    const sized = value.slice(0, max).padEnd(Math.min(min, 10_000), '*')
    if (sized !== value && walk.allows(schema, path, sized)) return { as: 'value', value: sized }
  }
  return walk.mayLack(schema, path) ? { as: 'absence' } : { as: 'nothing' }
}

class SchemaWalk {
  /** The tightest lengths met on the way. */
  readonly lengths: { max: number; min: number }
  readonly #root: JsonObject
  #steps: number

  constructor(root: JsonObject) {
    this.#root = root
    this.#steps = 0
    this.lengths = { max: Number.POSITIVE_INFINITY, min: 0 }
  }

  /** Whether a schema lets `value` stand at `path`. */
  allows(schema: Json | undefined, path: Path, value: string | number): boolean {
    if (schema === undefined || schema === true) return true
    if (!isJsonObject(schema) || ++this.#steps > MAX_STEPS) return false
    if (typeof schema.$ref === 'string' && !this.allows(this.#refer(schema.$ref), path, value)) return false
    if (path.length === 0 && !this.#allowsHere(schema, value)) return false
    const [key, ...rest] = path
    if (key !== undefined && !this.#children(schema, key).every(child => this.allows(child, rest, value))) return false
    return this.#branches(schema, branch => this.allows(branch, path, value))
  }

  /** Whether the member at `path` may be missing. */
  mayLack(schema: Json | undefined, path: Path): boolean {
    if (schema === undefined || schema === true) return true
    if (!isJsonObject(schema) || ++this.#steps > MAX_STEPS) return false
    if (typeof schema.$ref === 'string' && !this.mayLack(this.#refer(schema.$ref), path)) return false
    const [key, ...rest] = path
    if (typeof key !== 'string' && rest.length === 0) return false
    if (rest.length === 0) {
      if (Array.isArray(schema.required) && schema.required.includes(key as string)) return false
      if (schema.minProperties !== undefined || schema.dependentRequired !== undefined) return false
    } else if (!this.#children(schema, key as string | number).every(child => this.mayLack(child, rest))) return false
    return this.#branches(schema, branch => this.mayLack(branch, path))
  }

  #branches(schema: JsonObject, test: (branch: Json) => boolean): boolean {
    if (schema.not !== undefined || schema.if !== undefined) return false
    if (Array.isArray(schema.allOf) && !schema.allOf.every(test)) return false
    if (Array.isArray(schema.anyOf) && !schema.anyOf.some(test)) return false
    return !Array.isArray(schema.oneOf) || schema.oneOf.some(test)
  }

  #children(schema: JsonObject, key: string | number): (Json | undefined)[] {
    if (typeof key === 'number') return [this.#item(schema, key)]
    const found: (Json | undefined)[] = []
    const { properties, patternProperties } = schema
    if (isJsonObject(properties) && Object.hasOwn(properties, key)) found.push(properties[key])
    if (isJsonObject(patternProperties)) {
      for (const [pattern, child] of Object.entries(patternProperties)) if (fits(pattern, key)) found.push(child)
    }
    return found.length > 0 ? found : [schema.additionalProperties]
  }

  #item(schema: JsonObject, index: number): Json | undefined {
    if (schema.contains !== undefined || schema.uniqueItems === true) return false
    const tuple = Array.isArray(schema.prefixItems) ? schema.prefixItems : schema.items
    if (Array.isArray(tuple)) return index < tuple.length ? tuple[index] : (schema.additionalItems ?? schema.items)
    return schema.items
  }

  #allowsHere(schema: JsonObject, value: string | number): boolean {
    if (schema.enum !== undefined || schema.const !== undefined) return false
    const types = Array.isArray(schema.type) ? schema.type : [schema.type]
    if (typeof value === 'number') {
      const limits = [schema.minimum, schema.exclusiveMinimum, schema.maximum, schema.exclusiveMaximum]
      if (limits.some(limit => limit !== undefined)) return false
      return schema.type === undefined || types.includes('number') || types.includes('integer')
    }
    if (schema.type !== undefined && !types.includes('string')) return false
    return this.#allowsText(schema, value)
  }

  #allowsText(schema: JsonObject, value: string): boolean {
    const { maxLength, minLength, pattern, format } = schema
    if (typeof maxLength === 'number') this.lengths.max = Math.min(this.lengths.max, maxLength)
    if (typeof minLength === 'number') this.lengths.min = Math.max(this.lengths.min, minLength)
    if (typeof maxLength === 'number' && value.length > maxLength) return false
    if (typeof minLength === 'number' && value.length < minLength) return false
    if (typeof pattern === 'string' && !fits(pattern, value)) return false
    return typeof format !== 'string'
  }

  /** `#/$defs/x`; anything else is not followed. */
  #refer(reference: string): Json | undefined {
    if (reference === '#') return this.#root
    if (!reference.startsWith('#/')) return false
    let at: Json | undefined = this.#root
    for (const part of reference.slice(2).split('/')) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
      if (!isJsonObject(at) || !Object.hasOwn(at, key)) return false
      at = at[key]
    }
    return at
  }
}

function fits(pattern: string, text: string): boolean {
  if (pattern.length > MAX_PATTERN) return false
  try {
    return RE2JS.compile(pattern).matcher(text).find()
  } catch {
    return false
  }
}
