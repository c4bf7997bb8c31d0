import { z } from 'zod'
import { duration } from '../api/units.ts'
import { LoadError } from '../base/diagnostic.ts'
import { readYaml } from '../base/read-yaml.ts'
import { validate } from '../base/validate.ts'

export const MAX_CONNECTIONS = 20_000
export const MAX_RATE = 1_000_000
export const MAX_DURATION_MS = 24 * 3_600_000
export const MAX_REQUESTS = 100_000_000

const params = z.record(z.string(), z.unknown())
const whole = (least: number, most: number): z.ZodNumber => z.number().int().min(least).max(most)

const step = z
  .strictObject({
    name: z.string().min(1).max(100).optional().meta({ description: 'how reports name it; default: what it asks for' }),
    weight: z
      .number()
      .positive()
      .max(1_000_000)
      .default(1)
      .meta({ description: 'how often, compared with the others' }),
    call: z.string().min(1).optional().meta({ description: 'a tool' }),
    arguments: params.optional().meta({ description: 'of the tool or prompt' }),
    read: z.string().min(1).optional().meta({ description: 'the URI of a resource' }),
    prompt: z.string().min(1).optional(),
    method: z.string().min(1).optional().meta({ description: 'any other method, such as tools/list' }),
    params: params.optional().meta({ description: 'of "method"' }),
    progress: z.boolean().default(false).meta({ description: 'asks for progress notifications' }),
    think_time: duration().default(0).meta({ description: 'pause of the user before this step; closed loop only' }),
  })
  .superRefine((value, context) => {
    const given = [value.call, value.read, value.prompt, value.method].filter(one => one !== undefined)
    if (given.length !== 1) {
      context.addIssue({ code: 'custom', message: 'expected one of "call", "read", "prompt" and "method"' })
    }
    if (value.arguments !== undefined && value.call === undefined && value.prompt === undefined) {
      context.addIssue({ code: 'custom', path: ['arguments'], message: 'only "call" and "prompt" have arguments' })
    }
    if (value.params !== undefined && value.method === undefined) {
      context.addIssue({ code: 'custom', path: ['params'], message: 'only "method" has params' })
    }
  })

/** What a load test does: `bench/scenarios/*.yaml`. */
export const scenarioSchema = z.strictObject({
  $schema: z.string().optional(),
  version: z.literal(1).default(1),
  name: z.string().min(1).max(100).default('load'),
  description: z.string().default(''),
  era: z
    .enum(['auto', 'modern', 'legacy'])
    .default('auto')
    .meta({ description: 'auto: asks the server; modern: 2026-07-28; legacy: 2025-11-25 with sessions' }),
  connections: whole(1, MAX_CONNECTIONS).default(16).meta({ description: 'closed loop: users; open loop: the most' }),
  rate: z
    .number()
    .positive()
    .max(MAX_RATE)
    .nullable()
    .default(null)
    .meta({ description: 'requests per second whatever the answers do (open loop); none = as fast as answers come' }),
  arrivals: z
    .enum(['even', 'random'])
    .default('even')
    .meta({ description: 'with a rate: at even distances, or Poisson' }),
  duration: duration().default(30_000),
  warm_up: duration().default(2000).meta({ description: 'before anything is counted' }),
  timeout: duration().default(30_000).meta({ description: 'for one answer' }),
  max_requests: whole(1, MAX_REQUESTS).default(10_000_000).meta({ description: 'the run ends there' }),
  sessions: whole(1, MAX_CONNECTIONS).default(1).meta({ description: 'legacy: how many, shared out over connections' }),
  idle_streams: whole(0, MAX_CONNECTIONS)
    .default(0)
    .meta({ description: 'streams held open beside the calls: subscriptions/listen, or GET for legacy' }),
  headers: z.record(z.string().min(1), z.string()).default({}),
  mix: z
    .array(step)
    .min(1)
    .max(100)
    .default([{ weight: 1, method: 'tools/list', progress: false, think_time: 0 }]),
  bench: z
    .record(z.string(), z.unknown())
    .optional()
    .meta({ description: 'what "npm run bench" of the repository starts around it; "sluice bench" has no use for it' }),
})

export type Scenario = z.infer<typeof scenarioSchema>
export type Step = Scenario['mix'][number]

/** @throws LoadError with every problem found */
export function loadScenario(file: string, env: NodeJS.ProcessEnv): Scenario {
  const source = readYaml(file, env)
  if (source.diagnostics.length > 0) throw new LoadError(source.diagnostics)
  const { value, diagnostics } = validate(source, scenarioSchema)
  if (value === null) throw new LoadError(diagnostics)
  return value
}

/** How reports name a step. */
export function stepName(step: Step): string {
  const { name, call, read, prompt, method = '' } = step
  return name ?? call ?? (read !== undefined ? `read ${read}` : prompt !== undefined ? `prompt ${prompt}` : method)
}

/** JSON Schema of scenario files, for editors. */
export function scenarioJsonSchema(): Record<string, unknown> {
  return z.toJSONSchema(scenarioSchema, { io: 'input', unrepresentable: 'any' })
}
