import { readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { z } from 'zod'
import { duration } from '../../proxy/api/units.ts'
import { LoadError } from '../../proxy/base/diagnostic.ts'
import { readYaml } from '../../proxy/base/read-yaml.ts'
import { validate } from '../../proxy/base/validate.ts'
import { MAX_CONNECTIONS, MAX_RATE, scenarioSchema } from '../../proxy/load/scenario.ts'
import { FIGURES } from './figures.ts'

export const SCENARIOS = join(import.meta.dirname, '..', 'scenarios')
export const SCHEMA_FILE = join(SCENARIOS, 'scenario.schema.json')

/** What stands between load and upstream besides Sluice. */
const BUILT_IN = ['direct', 'bare', 'nginx', 'haproxy', 'mcp-proxy', 'supergateway'] as const
export type BuiltIn = (typeof BUILT_IN)[number]

const count = (least: number, most: number): z.ZodNumber => z.number().int().min(least).max(most)
const name = z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}$/, 'expected a name of a-z, 0-9 and "-"')

const upstream = z.strictObject({
  kind: z
    .enum(['raw', 'sdk', 'stdio'])
    .default('raw')
    .meta({ description: 'raw: by hand, the fastest; sdk: the official SDK; stdio: a child process of each system' }),
  replicas: count(1, 16).default(1),
  delay: duration().default(100).meta({ description: 'of the tool "slow"' }),
  faults: z.number().min(0).max(50).default(0).meta({ description: 'percent of the calls that fail' }),
  events: count(2, 100_000).default(100).meta({ description: 'of the tool "events"; 200 bytes each' }),
  burst: count(1, 100_000).default(10).meta({ description: 'events that are sent at a time' }),
  bytes: count(1_000, 100_000_000).default(10_000_000).meta({ description: 'of the tool "large"' }),
})

const load = z
  .strictObject({
    era: z.enum(['modern', 'legacy']).optional(),
    connections: count(1, MAX_CONNECTIONS).optional(),
    sessions: count(1, MAX_CONNECTIONS).optional(),
    idle_streams: count(0, MAX_CONNECTIONS).optional(),
    rate: z.number().positive().max(MAX_RATE).optional(),
    tool: z.string().min(1).optional().meta({ description: 'called in place of the mix' }),
    arguments: z.record(z.string(), z.unknown()).optional().meta({ description: 'of "tool"' }),
  })
  .meta({ description: 'what is different for this one' })

const sluice = z.strictObject({
  what: z.string().min(1).meta({ description: 'in a few words' }),
  policy: z.string().optional().meta({ description: 'a file, relative to this one; none = bytes pass' }),
  only: z.array(z.string().min(1)).optional().meta({ description: 'of the policy only these interceptors' }),
  replicas: count(1, 16).optional().meta({ description: 'of the upstream, only so many; default: all' }),
  stdio: z.boolean().default(false).meta({ description: 'it runs the server itself, as a child process' }),
  config: z.record(z.string(), z.unknown()).default({}).meta({ description: 'keys of sluice.yaml' }),
  server: z.record(z.string(), z.unknown()).default({}).meta({ description: 'keys of the server in sluice.yaml' }),
  workers: count(1, 64).default(1),
  node: z.array(z.string().min(1)).default([]).meta({ description: 'arguments of Node, to see what they change' }),
  load: load.default({}),
  grow: z
    .strictObject({
      servers: count(1, 100_000).optional(),
      clients: count(1, 1_000_000).optional(),
      entries: count(3, 1_000).optional().meta({ description: 'of the chain; three of them match' }),
      tools: count(1, 100_000).optional().meta({ description: 'in the list of the server' }),
    })
    .default({})
    .meta({ description: 'how many of each there are' }),
})

const compare = z.strictObject({
  of: name,
  to: name.optional().meta({ description: 'none: the figure itself' }),
  figure: z.enum(Object.keys(FIGURES) as [keyof typeof FIGURES]),
  how: z.enum(['ratio', 'difference']).default('ratio'),
  per: z.number().positive().default(1).meta({ description: 'divides a difference' }),
  unit: z.string().optional().meta({ description: 'of a difference that was divided' }),
  at_most: z.number().optional(),
  at_least: z.number().optional(),
  say: z.string().optional().meta({ description: 'how the last line says it; "{}" is the figure' }),
})

const bench = z.strictObject({
  upstream: upstream.prefault({}),
  systems: z
    .array(name)
    .min(1)
    .max(20)
    .meta({ description: `of "sluice", or of ${BUILT_IN.join(', ')}` }),
  sluice: z.record(name, sluice).default({}).meta({ description: 'the Sluices under test, by their names' }),
  peers: z.array(z.enum(BUILT_IN)).default([]).meta({ description: 'measured with --peers' }),
  buffering: z.boolean().default(true).meta({ description: 'proxy_buffering of nginx' }),
  generator: z
    .enum(['auto', 'own', 'slow-reader'])
    .default('auto')
    .meta({ description: 'auto: wrk where it is installed and can do it; slow-reader: each connection reads 1 MB/s' }),
  warm_up_tool: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'called before memory is looked at for the first time; default: nothing' }),
  rounds: count(1, 1_000).default(5),
  quick: z
    .strictObject({ rounds: count(1, 100).default(3), duration: duration().optional() })
    .prefault({})
    .meta({ description: 'with --quick' }),
  allowed_failures: z.number().min(0).max(1).default(0).meta({ description: 'share of the requests' }),
  compare: z.array(compare).default([]),
})

export const benchScenarioSchema = scenarioSchema.extend({ bench })

export type BenchScenario = z.infer<typeof benchScenarioSchema>
export type SluiceSpec = z.infer<typeof sluice>
export type UpstreamSpec = z.infer<typeof upstream>
export type Compare = z.infer<typeof compare>

export function scenarioNames(): string[] {
  const files = readdirSync(SCENARIOS).filter(file => file.endsWith('.yaml'))
  return files.map(file => file.slice(0, -'.yaml'.length)).toSorted()
}

/** @throws LoadError with every problem found */
export function loadBenchScenario(file: string): BenchScenario {
  const source = readYaml(file, process.env)
  if (source.diagnostics.length > 0) throw new LoadError(source.diagnostics)
  const { value, diagnostics } = validate(source, benchScenarioSchema)
  if (value === null) throw new LoadError(diagnostics)
  const { systems, sluice: own, compare: pairs } = value.bench
  const known = [...Object.keys(own), ...BUILT_IN]
  const wrong = [
    ...systems.map((one, index) => ({ one, path: ['bench', 'systems', index] })),
    ...pairs.flatMap(({ of, to = of }, index) => [
      { one: of, path: ['bench', 'compare', index, 'of'] },
      ...(to === of ? [] : [{ one: to, path: ['bench', 'compare', index, 'to'] }]),
    ]),
  ].filter(({ one }) => !known.includes(one))
  if (wrong.length > 0) {
    throw new LoadError(
      wrong.map(({ one, path }) => source.diagnostic(path, `there is no system "${one}": one of ${known.join(', ')}`)),
    )
  }
  const placed = Object.entries(own).map(([key, spec]) => [key, withPolicyAt(dirname(file), spec)] as const)
  return { ...value, bench: { ...value.bench, sluice: Object.fromEntries(placed) } }
}

function withPolicyAt(dir: string, spec: SluiceSpec): SluiceSpec {
  return spec.policy === undefined ? spec : { ...spec, policy: resolve(dir, spec.policy) }
}

export function isBuiltIn(text: string): text is BuiltIn {
  return (BUILT_IN as readonly string[]).includes(text)
}

/** JSON Schema of `bench/scenarios/*.yaml`, for editors. */
export function benchScenarioSchemaText(): string {
  const schema = z.toJSONSchema(benchScenarioSchema, { io: 'input', unrepresentable: 'any' })
  return `${JSON.stringify(schema, null, 2)}\n`
}
