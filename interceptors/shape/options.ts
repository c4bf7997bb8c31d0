import { byteSize, duration, globProblem, z } from '#api'
import { MAX_PATHS, pathProblem } from './paths.ts'

const KIB = 1024
const MIB = 1024 * 1024

const glob = z
  .string()
  .refine(text => globProblem(text) === null, { error: ({ input }) => globProblem(String(input)) ?? '' })
const globs = z
  .union([glob, z.array(glob).min(1)])
  .transform(given => (typeof given === 'string' ? [given] : given))
  .default(['*'])

const path = z
  .string()
  .refine(text => pathProblem(text) === null, { error: ({ input }) => pathProblem(String(input)) ?? '' })
const paths = z.array(path).min(1).max(MAX_PATHS).optional()

const size = (least: number) =>
  byteSize().refine(bytes => bytes >= least, { error: `expected at least ${least} bytes` })

const rule = z
  .strictObject({
    tools: globs.describe('Globs of the tools it is for. Default: all.'),
    servers: globs.describe('Globs of the servers it is for. Default: all.'),
    clients: globs.describe('Globs of the clients it is for. Default: all.'),
    leave: z.literal(true).optional().describe('Leaves the results of these tools as they are.'),
    above: size(0).default(0).describe('Results that are no larger stay as they are.'),
    max_bytes: size(256).optional().describe('Most bytes of all text together, and of structuredContent.'),
    max_tokens: z.int().min(64).optional().describe('The same in tokens, estimated as bytes / 4.'),
    pick: paths.describe('Paths that stay, such as items.*.name; everything else goes.'),
    drop: paths.describe('Paths that go.'),
    max_items: z.int().min(1).optional().describe('Most elements of any array.'),
    items: z
      .enum(['head', 'tail', 'sample'])
      .default('head')
      .describe('Which elements of a long array stay: the first, the last, or some from all over it.'),
    max_string: size(32).optional().describe('Most bytes of any string in JSON.'),
    text: z.enum(['head', 'tail', 'both']).default('head').describe('Which end of a text that is no JSON stays.'),
    summarise: z
      .boolean()
      .default(false)
      .describe('JSON that does not fit becomes an outline: keys, kinds, counts, examples.'),
    structured: z
      .enum(['shape', 'leave', 'remove'])
      .default('shape')
      .describe('structuredContent: shaped like text, left alone, or left out.'),
    output_schema: z
      .record(z.string(), z.json())
      .optional()
      .describe('What tools/list shows as the outputSchema of these tools. Default: none.'),
    link: z
      .boolean()
      .default(true)
      .describe('Whether the whole result is kept, behind a link that the model can read.'),
  })
  .superRefine((given, context) => {
    const acts = [given.max_bytes, given.max_tokens, given.pick, given.drop, given.max_items, given.max_string]
    const does = acts.some(one => one !== undefined) || given.structured === 'remove'
    const issue = (message: string): void => context.addIssue({ code: 'custom', message })
    if (given.leave === true && does) issue('leave: expected no other settings besides tools, servers and clients')
    if (given.leave !== true && !does) {
      issue('expected one of max_bytes, max_tokens, pick, drop, max_items, max_string, structured: remove, or leave')
    }
    if (given.max_bytes !== undefined && given.max_tokens !== undefined)
      issue('expected max_bytes or max_tokens, not both')
    if (given.structured !== 'shape' && given.output_schema !== undefined) {
      issue(`output_schema: does not go with structured: ${given.structured}`)
    }
  })

export const options = z.strictObject({
  rules: z.array(rule).min(1).max(1000).describe('The first one that fits server, tool and client counts.'),
  keep: duration()
    .refine(ms => ms >= 1000, { error: 'expected at least 1s' })
    .default(600_000)
    .describe('How long a whole result can be read. Default 10m.'),
  page_bytes: size(KIB)
    .refine(bytes => bytes <= MIB, { error: 'expected at most 1MiB' })
    .default(16 * KIB)
    .describe('Most bytes of a page. Default 16KiB.'),
  max_kept_per_client: size(KIB)
    .default(8 * MIB)
    .describe('Most bytes kept for one client; the oldest go first. Default 8MiB.'),
  max_kept: size(KIB)
    .default(32 * MIB)
    .describe('Most bytes kept in all, by each process; the oldest go first. Default 32MiB.'),
  advertise: z
    .boolean()
    .default(false)
    .describe('Adds the resources capability to servers that have none, so that their clients may read.'),
})

export type Options = z.infer<typeof options>
export type RuleOptions = z.infer<typeof rule>
