/**
 * The interceptor `schema`: `node bench/micro/schema.ts`. What one check costs when its tool is cold, warm and refused, and what
 * compiling costs.
 */
import { Checker, type Means } from '../../interceptors/schema/check/checker.ts'
import { Checkers } from '../../interceptors/schema/check/checkers.ts'
import { Engine } from '../../interceptors/schema/check/engine.ts'
import { normalise } from '../../interceptors/schema/check/normalise.ts'
import { notFoundText } from '../../interceptors/schema/not-found.ts'
import { digestOf } from '../../interceptors/schema/pins/digest.ts'
import type { JsonObject } from '../../proxy/api/index.ts'
import { measure, type OperationCost, printCost } from '../lib/micro.ts'

const LIMITS = { maxBytes: 256 * 1024, maxDepth: 64, maxNodes: 1000 }
const means = (): Means => ({
  limits: LIMITS,
  strictPatterns: false,
  verdicts: new Engine(false),
  faults: new Engine(true),
})

/** A typical schema: nine properties, one list, one object. */
const SCHEMA: JsonObject = {
  type: 'object',
  properties: {
    query: { type: 'string', minLength: 1, description: 'What to look for' },
    limit: { type: 'integer', minimum: 1, maximum: 100 },
    page: { type: 'integer' },
    lang: { enum: ['en', 'de', 'fr'] },
    fresh: { type: 'boolean' },
    since: { type: 'string', pattern: '^\\d{4}-\\d{2}-\\d{2}$' },
    tags: { type: 'array', items: { type: 'string' } },
    filter: { type: 'object', properties: { from: { type: 'string' }, to: { type: 'string' } } },
    order: { anyOf: [{ type: 'string' }, { type: 'null' }] },
  },
  required: ['query'],
  additionalProperties: false,
}
const GOOD: JsonObject = {
  query: 'model context protocol',
  limit: 10,
  page: 1,
  lang: 'en',
  fresh: true,
  tags: ['a', 'b'],
}
const BAD: JsonObject = { ...GOOD, limit: 'ten', extra: 1 }
const ROWS: JsonObject = {
  items: Array.from({ length: 290 }, (_, id) => ({ id, name: `row ${id}`, score: id / 7, tags: ['a', 'b'], ok: true })),
}
const ROWS_SCHEMA: JsonObject = {
  type: 'object',
  properties: {
    items: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          id: { type: 'integer' },
          name: { type: 'string' },
          score: { type: 'number' },
          tags: { type: 'array', items: { type: 'string' } },
          ok: { type: 'boolean' },
        },
        required: ['id', 'name'],
      },
    },
  },
  required: ['items'],
}

/** Another schema each time, which nobody has compiled. */
function fresh(schema: JsonObject): () => JsonObject {
  let n = 0
  return () => ({ ...schema, title: `schema ${n++}` })
}

function main(): void {
  const shared = means()
  // Without the pattern, which the interpreter leaves to the compiler.
  const { since: _, ...simple } = SCHEMA.properties as JsonObject
  const interpretable = { ...SCHEMA, properties: simple }
  printCost(
    'arguments, interpreted (cold tool)',
    measure(() => new Checker(interpretable, 900, shared).isValid(GOOD, 300)),
  )
  const warm = new Checker(SCHEMA, 900, shared)
  warm.isValid(GOOD, 1 << 20)
  printCost(
    'arguments, compiled (warm tool)',
    measure(() => warm.isValid(GOOD, 300)),
  )
  printCost('arguments, compiled, with the look-up', lookUp(shared))
  printCost(
    'arguments, refused, with what is wrong',
    measure(() => !warm.isValid(BAD, 300) && warm.faults(BAD, 300)),
  )
  const rows = new Checker(ROWS_SCHEMA, 400, shared)
  printCost(
    'result of 20 KB, compiled',
    measure(() => rows.isValid(ROWS, 20_000)),
  )
  const next = fresh(SCHEMA)
  printCost(
    'normalise a schema',
    measure(() => normalise(SCHEMA, LIMITS)),
  )
  printCost(
    'normalise and compile a schema',
    measure(() => new Checker(next(), 900, shared).isValid(GOOD, 1 << 20)),
  )
  printCost(
    'digest of a tool',
    measure(() => digestOf({ name: 'search', description: 'Finds things.', inputSchema: SCHEMA })),
  )
  const names = Array.from({ length: 100 }, (_, i) => `tool_number_${i}`)
  printCost(
    'tool not found, among 100',
    measure(() => notFoundText('demo', 'tol_number_7', names)),
  )
}

function lookUp(shared: Means): OperationCost {
  const checkers = new Checkers(shared)
  const key = Checkers.keyOf(SCHEMA)
  checkers.get(key, SCHEMA).isValid(GOOD, 1 << 20)
  return measure(() => checkers.get(key, SCHEMA).isValid(GOOD, 300))
}

main()
