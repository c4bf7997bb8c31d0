import { byteSize, duration, z } from '#api'
import { MAX_FILTER_BYTES } from './program.ts'

const MIB = 1024 * 1024

const filter = z.string().superRefine((text, context) => {
  const problem = filterProblem(text)
  if (problem !== null) context.addIssue({ code: 'custom', message: problem })
})

function filterProblem(text: string): string | null {
  if (text.trim() === '') return 'expected a jq filter, such as .items'
  if (text.includes('\0')) return 'a filter cannot hold NUL'
  return Buffer.byteLength(text) > MAX_FILTER_BYTES ? `expected a filter of at most ${MAX_FILTER_BYTES} bytes` : null
}

const filters = z
  .union([filter, z.array(filter).min(1).max(16)])
  .transform(given => (typeof given === 'string' ? [given] : given))
  .refine(given => given.reduce((sum, one) => sum + Buffer.byteLength(one), 0) <= MAX_FILTER_BYTES, {
    error: `expected filters of at most ${MAX_FILTER_BYTES} bytes together`,
  })

export const options = z.strictObject({
  filter: filters.describe('A jq filter, or a list of filters of which each sees what the one before it gave.'),
  on: z
    .enum(['result', 'arguments', 'list'])
    .default('result')
    .describe(
      '`result` of a tool, `arguments` of a tool call, or `list`: tools, prompts, resources as a server lists them.',
    ),
  source: z
    .enum(['both', 'structured', 'text'])
    .default('both')
    .describe(
      '`structured`: structuredContent. `text`: each text block that holds JSON. `both`: structuredContent, with the text kept ' +
        'in step; without one, the text.',
    ),
  raw: z
    .boolean()
    .default(false)
    .describe('Results become text: strings without quotes, one output a line, as with `jq -r`.'),
  missing: z
    .enum(['pass', 'fail'])
    .default('pass')
    .describe('A result without JSON where `source` says: `pass` = it goes on as it is, `fail` = by on_failure.'),
  output_schema: z
    .union([z.enum(['remove', 'keep']), z.record(z.string(), z.json())])
    .default('remove')
    .describe(
      'What tools/list says of results from now on: `remove` = nothing, `keep` = what the server says, or a JSON Schema of ' +
        'the new structuredContent.',
    ),
  deadline: duration()
    .refine(ms => ms >= 1 && ms <= 30_000, { error: 'expected 1ms to 30s' })
    .default(1000)
    .describe('Time for one message; after it, the process is killed.'),
  max_memory: byteSize()
    .refine(bytes => bytes >= 32 * MIB && bytes <= 8192 * MIB, { error: 'expected 32MiB to 8GiB' })
    .default(256 * MIB)
    .describe('Address space of one jq process.'),
  max_output: byteSize()
    .refine(bytes => bytes >= 1024 && bytes <= 64 * MIB, { error: 'expected 1KiB to 64MiB' })
    .default(4 * MIB)
    .describe('What the filter may give for one message.'),
  processes: z
    .int()
    .min(1)
    .max(16)
    .default(2)
    .describe('Most jq processes, each of which works on one message at a time.'),
  queue: z.int().min(0).max(10_000).default(256).describe('Most messages that may wait for a process.'),
})

export type Options = z.infer<typeof options>
