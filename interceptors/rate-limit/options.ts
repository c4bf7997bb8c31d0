import { globProblem, z } from '#api'
import { parseRate, RATE_PATTERN } from './rate.ts'

const glob = z.string().superRefine((text, context) => {
  const problem = globProblem(text)
  if (problem !== null) context.addIssue({ code: 'custom', message: problem })
})

const globs = z.union([glob.transform(one => [one]), z.array(glob).min(1)])

const KEY_PART = /^(?:client|server|tool|argument(?:\.[^.]+)+)$/

const keyPart = z
  .string()
  .regex(KEY_PART, { error: 'expected client, server, tool, or the path of an argument such as argument.repo.owner' })

const rate = z
  .string()
  .regex(RATE_PATTERN, { error: 'expected a rate such as 100/minute, 10/15s, 2M/day or 50MiB/hour' })
  .refine(text => parseRate(text) !== null, { error: 'expected a rate with a window of at most 31 days' })

const limit = z
  .strictObject({
    limit: z.union([rate, z.int().min(1)], {
      error: 'expected a rate such as 100/minute, or a number for "concurrent"',
    }),
    what: z
      .enum(['requests', 'concurrent', 'result_bytes', 'result_tokens'])
      .default('requests')
      .describe('What is counted. `result_tokens` are estimated: four bytes of the answer are one token.'),
    key: z
      .union([keyPart.transform(one => [one]), z.array(keyPart).max(8)])
      .default(['client'])
      .describe('Who or what has the limit for itself; `[]` = all together.'),
    tools: globs.optional().describe('Only calls of these tools.'),
    methods: globs.optional().describe('Only requests of these methods.'),
    burst: z.int().min(1).optional().describe('Spread requests evenly over the window, with at most so many at once.'),
    window: z
      .enum(['sliding', 'fixed'])
      .default('sliding')
      .describe('`fixed`: from one multiple of the window to the next; a day is a day in UTC.'),
    name: z
      .string()
      .regex(/^[a-z0-9][a-z0-9._-]{0,63}$/, { error: 'expected a name of a-z, 0-9 and . _ -' })
      .optional()
      .describe('Stands in header fields, metrics and the keys of the store.'),
  })
  .superRefine((value, context) => {
    const complain = (path: string, message: string): void =>
      void context.addIssue({ code: 'custom', path: [path], message })
    const isConcurrent = value.what === 'concurrent'
    if (isConcurrent !== (typeof value.limit === 'number')) {
      complain('limit', isConcurrent ? 'expected a number of calls' : 'expected a rate such as 100/minute')
    }
    if (value.burst !== undefined && value.what !== 'requests') complain('burst', 'only "requests" can have a burst')
    if (value.burst !== undefined && value.window === 'fixed') complain('burst', 'a fixed window has no burst')
    if (value.methods !== undefined && (value.tools !== undefined || value.key.some(part => !isPlain(part)))) {
      complain('methods', 'tools and arguments are those of tools/call: leave "methods" out')
    }
  })

function isPlain(part: string): boolean {
  return part === 'client' || part === 'server'
}

export const options = z.strictObject({
  limits: z.array(limit).max(100).default([]).describe('Besides those of access_control. All that fit must be kept.'),
  access_control: z
    .boolean()
    .default(true)
    .describe("Whether the clients' rate_limit and rate_limits of access_control hold."),
  store_down: z
    .enum(['insurance', 'refuse'])
    .default('insurance')
    .describe(
      'While the store cannot be reached: `insurance` = each process keeps the limits on its own, `refuse` = what has a limit is refused.',
    ),
})

export type Options = z.infer<typeof options>
export type LimitOptions = Options['limits'][number]
