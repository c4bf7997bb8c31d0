import type { Json, JsonObject } from '#api'
import { type Dialect, dialectOf } from './dialect.ts'
import { brief, isObject, put } from './json.ts'
import { LISTS, MAPS, NEW, ONE, PLAIN, SIMPLE, TYPES } from './keywords.ts'
import { compilePattern } from './pattern.ts'
import { References } from './references.ts'
import { Unusable } from './unusable.ts'

/** Bounds of a schema, which a server may have written to do harm. */
export interface SchemaLimits {
  /** As JSON text. */
  readonly maxBytes: number
  /** Of schemas within schemas. */
  readonly maxDepth: number
  /** Number of schemas in it, those it refers to counted once. */
  readonly maxNodes: number
}

/** A schema made safe to compile. */
export interface Normalised {
  /**
   * 2020-12, whatever it was; without `$id`, `$anchor` and annotations; each `$ref` leads to a member of `$defs` at the
   * root. `COST` and `WIDTH` say how many steps a schema takes, apart from those of the schemas in it.
   */
  readonly schema: JsonObject
  readonly nodes: number
  /** Whether the interpreter reads it as ajv does, and in time linear in nodes x values. */
  readonly simple: boolean
  /** Whether it has `unevaluatedProperties` or `unevaluatedItems`. */
  readonly tracks: boolean
  /** Patterns that nobody can check in linear time: they are left out. */
  readonly unchecked: readonly string[]
}

/** Our own keyword: steps a schema takes. */
export const COST = 'x-sluice-cost'
/** Our own keyword: steps a schema takes for each member of a value, which must all be kept in mind for `unevaluated…`. */
export const WIDTH = 'x-sluice-width'

const MAX_PATTERNS = 100
/** Time for all patterns of a schema, in milliseconds: repeats can make a short one large. */
const MAX_PATTERN_MS = 250

/** @throws Unusable that says why nothing can be checked against it */
export function normalise(schema: JsonObject, limits: SchemaLimits): Normalised {
  return new Normaliser(schema, limits).run()
}

class Normaliser {
  readonly #root: JsonObject
  readonly #limits: SchemaLimits
  readonly #dialect: Dialect
  readonly #references: References
  /** Names of what `$ref`s lead to. */
  readonly #names = new Map<JsonObject, string>()
  readonly #waiting: JsonObject[] = []
  readonly #unchecked: string[] = []
  #nodes = 0
  #patterns = 0
  #patternMs = 0
  #simple = true
  #tracks = false
  #embedded = false

  constructor(root: JsonObject, limits: SchemaLimits) {
    this.#root = root
    this.#limits = limits
    this.#dialect = dialectOf(root['$schema'])
    this.#references = new References(root)
  }

  run(): Normalised {
    const schema = this.#object(this.#root, 0)
    const definitions: JsonObject = {}
    for (let raw = this.#waiting.shift(); raw !== undefined; raw = this.#waiting.shift()) {
      definitions[this.#names.get(raw) as string] = this.#object(raw, 0)
    }
    if (this.#names.size > 0) {
      if (this.#embedded) throw new Unusable('has a schema with an "$id" of its own within it, which is not supported')
      schema['$defs'] = definitions
    }
    return { schema, nodes: this.#nodes, simple: this.#simple, tracks: this.#tracks, unchecked: this.#unchecked }
  }

  #schema(raw: Json | undefined, depth: number): Json {
    if (typeof raw === 'boolean') return raw
    if (!isObject(raw)) throw new Unusable('is malformed: it has something else where a schema should be')
    return this.#object(raw, depth)
  }

  #object(raw: JsonObject, depth: number): JsonObject {
    const { maxDepth, maxNodes } = this.#limits
    if (depth > maxDepth) throw new Unusable(`is nested more than ${maxDepth} deep`)
    if (++this.#nodes > maxNodes) throw new Unusable(`consists of more than ${maxNodes} schemas`)
    if (raw !== this.#root && typeof raw['$id'] === 'string' && !raw['$id'].startsWith('#')) this.#embedded = true
    const out: JsonObject = {}
    const before = this.#nodes
    this.#reference(raw, out)
    // Draft-07, 8.3: "All other properties in a $ref object MUST be ignored."
    if (this.#dialect === 'draft-07' && '$ref' in out) return out
    this.#type(raw, out)
    this.#plain(raw, out)
    this.#pattern(raw, out)
    this.#nested(raw, out, depth + 1)
    const cost = costOf(out)
    if (cost > 1) out[COST] = cost
    if ('unevaluatedProperties' in out || 'unevaluatedItems' in out) {
      out[WIDTH] = this.#nodes - before + 1
      this.#tracks = true
    }
    if (this.#simple) this.#simple = Object.keys(out).every(keyword => keyword === COST || SIMPLE.has(keyword))
    return out
  }

  #reference(raw: JsonObject, out: JsonObject): void {
    const given = [raw['$ref'], this.#dialect === '2020-12' ? raw['$dynamicRef'] : undefined]
    const [first, second] = given.filter(reference => reference !== undefined).map(one => this.#named(one))
    if (first === undefined) return
    out['$ref'] = first
    if (second !== undefined) out['allOf'] = [{ $ref: second }]
    this.#simple = false
  }

  #named(reference: Json): string {
    if (typeof reference !== 'string') throw new Unusable('is malformed: "$ref" must be a string')
    const target = this.#references.resolve(reference)
    const raw = isObject(target) ? target : target === true ? EVERYTHING : NOTHING
    let name = this.#names.get(raw)
    if (name === undefined) {
      name = `r${this.#names.size}`
      this.#names.set(raw, name)
      this.#waiting.push(raw)
    }
    return `#/$defs/${name}`
  }

  #type(raw: JsonObject, out: JsonObject): void {
    const given = raw['type']
    if (given === undefined) return
    const types = [...new Set([given].flat())]
    if (types.length === 0 || !types.every(type => TYPES.has(type))) {
      throw new Unusable(`is malformed: ${brief(JSON.stringify(given))} is no type`)
    }
    // OpenAPI 3.0 writes it so; ajv reads it so.
    if (raw['nullable'] === true && !types.includes('null')) types.push('null')
    out['type'] = types.length === 1 ? (types[0] as Json) : types
  }

  #plain(raw: JsonObject, out: JsonObject): void {
    for (const keyword of Object.keys(raw)) {
      const rule = Object.hasOwn(PLAIN, keyword) ? PLAIN[keyword] : undefined
      if (rule === undefined || (this.#dialect === 'draft-07' && NEW.has(keyword))) continue
      const value = raw[keyword] as Json
      if (!rule.fits(value)) throw new Unusable(`is malformed: "${keyword}" must be ${rule.what}`)
      out[keyword] = value
    }
    // ajv takes no empty list, which nothing is in.
    if (Array.isArray(out['enum']) && out['enum'].length === 0) {
      delete out['enum']
      out['not'] = {}
    }
  }

  #pattern(raw: JsonObject, out: JsonObject): void {
    const source = raw['pattern']
    if (source === undefined) return
    if (typeof source !== 'string') throw new Unusable('is malformed: "pattern" must be a string')
    if (this.#isCheckable(source)) out['pattern'] = source
  }

  #isCheckable(source: string): boolean {
    if (++this.#patterns > MAX_PATTERNS) throw new Unusable(`has more than ${MAX_PATTERNS} patterns`)
    const began = performance.now()
    const pattern = compilePattern(source)
    this.#patternMs += performance.now() - began
    if (this.#patternMs > MAX_PATTERN_MS) throw new Unusable('has patterns that take too long to prepare')
    if (pattern === null) this.#unchecked.push(source)
    return pattern !== null
  }

  #nested(raw: JsonObject, out: JsonObject, depth: number): void {
    for (const keyword of ONE) {
      if (raw[keyword] === undefined || this.#isNew(keyword)) continue
      const schema = this.#schema(raw[keyword], depth)
      if (keyword === 'not' && out['not'] !== undefined) continue
      out[keyword] = schema
    }
    for (const keyword of LISTS) this.#list(raw, keyword, out, depth)
    for (const keyword of MAPS)
      if (raw[keyword] !== undefined && !this.#isNew(keyword)) this.#map(raw, keyword, out, depth)
    this.#items(raw, out, depth)
    this.#dependencies(raw, out, depth)
  }

  #isNew(keyword: string): boolean {
    return this.#dialect === 'draft-07' && NEW.has(keyword)
  }

  #list(raw: JsonObject, keyword: string, out: JsonObject, depth: number): void {
    const given = raw[keyword]
    if (given === undefined) return
    if (!Array.isArray(given) || given.length === 0)
      throw new Unusable(`is malformed: "${keyword}" must be a list of schemas`)
    const before = (out[keyword] ?? []) as Json[]
    out[keyword] = [...before, ...given.map(one => this.#schema(one, depth))]
  }

  #map(raw: JsonObject, keyword: string, out: JsonObject, depth: number): void {
    const given = raw[keyword]
    if (!isObject(given)) throw new Unusable(`is malformed: "${keyword}" must map names to schemas`)
    const schemas: JsonObject = {}
    let whole = true
    for (const name of Object.keys(given)) {
      const schema = this.#schema(given[name], depth)
      if (keyword === 'patternProperties' && !this.#isCheckable(name)) whole = false
      else put(schemas, name, schema)
    }
    out[keyword] = schemas
    // Names that an unreadable pattern would have taken must not count as additional ones.
    if (!whole) for (const rest of ['additionalProperties', 'unevaluatedProperties']) delete out[rest]
  }

  /** Draft-07 writes tuples as a list in `items`; so do many that name no dialect. */
  #items(raw: JsonObject, out: JsonObject, depth: number): void {
    const { items, prefixItems, additionalItems } = raw
    const tuple = this.#dialect === '2020-12' && prefixItems !== undefined ? prefixItems : items
    if (Array.isArray(tuple)) {
      if (tuple.length > 0) out['prefixItems'] = tuple.map(one => this.#schema(one, depth))
      const rest = tuple === prefixItems ? items : additionalItems
      if (rest !== undefined) out['items'] = this.#schema(rest, depth)
    } else if (tuple !== undefined) {
      out['items'] = this.#schema(tuple, depth)
    }
  }

  #dependencies(raw: JsonObject, out: JsonObject, depth: number): void {
    const given = raw['dependencies']
    if (given === undefined) return
    if (!isObject(given)) throw new Unusable('is malformed: "dependencies" must be a mapping')
    const names: JsonObject = { ...(out['dependentRequired'] as JsonObject | undefined) }
    const schemas: JsonObject = { ...(out['dependentSchemas'] as JsonObject | undefined) }
    for (const [name, value] of Object.entries(given)) {
      if (!Array.isArray(value)) put(schemas, name, this.#schema(value, depth))
      else if (value.every(one => typeof one === 'string')) put(names, name, value)
      else throw new Unusable('is malformed: "dependencies" must map to lists of names, or schemas')
    }
    if (Object.keys(names).length > 0) out['dependentRequired'] = names
    if (Object.keys(schemas).length > 0) out['dependentSchemas'] = schemas
  }
}

const EVERYTHING: JsonObject = {}
const NOTHING: JsonObject = { not: {} }

/** How many steps one schema takes at least, apart from those of the schemas in it. */
function costOf(schema: JsonObject): number {
  let cost = 1
  for (const [keyword, value] of Object.entries(schema)) {
    if (keyword === 'enum' || keyword === 'const') cost += sizeOf(value)
    else if (keyword === '$ref' || keyword === 'if' || keyword === 'not') cost += 2
    else if (keyword === 'items' || keyword === 'contains') cost += 1
    else if (typeof value === 'object' && value !== null) cost += Object.keys(value).length
  }
  return cost
}

/** Number of values in a value. */
function sizeOf(value: Json): number {
  let size = 1
  if (typeof value === 'object' && value !== null) for (const one of Object.values(value)) size += sizeOf(one)
  return size
}
