import { byteSize, duration, globProblem, z } from '#api'
import { readOneLine } from './one-line.ts'
import { splitWords } from './words.ts'

const MIB = 1024 * 1024
const MAX_TIMEOUT_MS = 240_000

const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const HEADER_NAME = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Set by the protocol itself. */
const OWN_HEADERS = new Set(['content-length', 'transfer-encoding', 'connection', 'host', 'expect', 'upgrade', 'te'])

const words = z.array(z.string()).min(1)
const commandLine = z
  .string()
  .refine(text => text.trim() !== '', { error: 'expected a command' })
  .refine(canSplit, { error: 'expected a command whose quotes are closed' })

const envName = z.string().regex(ENV_NAME, { error: 'expected the name of an environment variable' })

/** A mapping whose keys are checked where they stand, so that the error names the key. */
function mapping(value: z.ZodType<string>, problemOf: (key: string) => string | null) {
  return z
    .record(z.string(), value)
    .superRefine((given, context) => {
      for (const key of Object.keys(given)) {
        const message = problemOf(key)
        if (message !== null) context.addIssue({ code: 'custom', message, path: [key] })
      }
    })
    .default({})
}

const env = mapping(z.string(), name => (ENV_NAME.test(name) ? null : 'expected the name of an environment variable'))

const headerValue = z
  .string()
  .regex(/^[\t\x20-\x7e\x80-\xff]*$/, { error: 'expected the value of a header, without line breaks' })
const headers = mapping(headerValue, name => {
  if (!HEADER_NAME.test(name)) return 'expected the name of a header'
  return OWN_HEADERS.has(name.toLowerCase()) ? 'this header is set by the connection' : null
})

const url = z.string().refine(isHttpUrl, { error: 'expected an http:// or https:// URL without user and password' })

const count = (most: number) => z.int().min(1).max(most)

const target = z
  .strictObject({
    exec: z
      .union([commandLine, words])
      .optional()
      .describe('A command for /bin/sh, or a list of words for no shell. Works in the folder of the policy.'),
    http: url.optional().describe('A URL that takes POST.'),
    docker: z
      .union([commandLine, words])
      .optional()
      .describe('An image and its arguments; runs with docker run, without network and privileges.'),
    one_shot: z.boolean().default(false).describe('exec, docker: a process for each message, instead of lines.'),
    form: z
      .enum(['sluice', 'docker'])
      .default('sluice')
      .describe('`docker`: what Docker’s MCP Gateway sends and takes: bare results.'),
    processes: count(64).default(2).describe('exec, docker: most processes at a time.'),
    in_flight: count(1000).default(1).describe('exec, docker: most messages that one process has at a time.'),
    connections: count(1000).default(16).describe('http: most connections at a time.'),
    queue: z.int().min(0).max(100_000).default(100).describe('Most messages that wait; further ones fail at once.'),
    env: env.describe('exec, docker: environment variables, for secrets too.'),
    inherit_env: z.array(envName).default([]).describe('exec, docker: variables of Sluice that are passed on.'),
    headers: headers.describe('http: header fields, for secrets too.'),
    ca_file: z.string().min(1).optional().describe('http: certificates (PEM) to trust instead of the usual ones.'),
    network: z.string().min(1).default('none').describe('docker: its network.'),
    memory: byteSize()
      .default(256 * MIB)
      .describe('docker: its memory. Default 256MiB.'),
    cpus: z.number().positive().default(1).describe('docker: its processors.'),
    log_stderr: z.boolean().default(false).describe('exec, docker: whether what it writes to stderr is logged.'),
  })
  .superRefine((given, context) => {
    const kinds = (['exec', 'http', 'docker'] as const).filter(kind => given[kind] !== undefined)
    if (kinds.length !== 1) context.addIssue({ code: 'custom', message: 'expected one of exec, http, docker' })
  })

const oneLine = z.string().superRefine((text, context) => {
  const said = readOneLine(text)
  const issue = (message: string): void => context.addIssue({ code: 'custom', message })
  if (said === null) issue('expected before:exec:CMD, after:http:URL, before:docker:IMAGE ARGS, or the like')
  else if (said.kind === 'http' && !isHttpUrl(said.argument)) issue('expected an http:// or https:// URL after http:')
  else if (!canSplit(said.argument)) issue('expected a command whose quotes are closed')
})

const glob = z
  .string()
  .refine(text => globProblem(text) === null, { error: ({ input }) => globProblem(String(input)) ?? '' })

export const options = z
  .strictObject({
    run: z
      .union([oneLine, z.array(oneLine).min(1).max(2)])
      .optional()
      .describe('The short form, as Docker’s MCP Gateway takes it: before:exec:CMD, after:http:URL, …'),
    before: target.optional().describe('Sees requests: may answer, rewrite or refuse them.'),
    after: target.optional().describe('Sees answers: may replace or refuse them.'),
    methods: z
      .array(glob)
      .min(1)
      .default(['tools/call'])
      .describe('Globs of the methods it sees. Default: tools/call.'),
    timeout: duration()
      .refine(ms => ms >= 1 && ms <= MAX_TIMEOUT_MS, { error: 'expected 1ms to 4m' })
      .default(5000)
      .describe('For one message, waiting included. Default 5s.'),
    max_output_bytes: byteSize()
      .refine(bytes => bytes >= 1024, { error: 'expected at least 1KiB' })
      .default(4 * MIB)
      .describe('The largest answer. Default 4MiB.'),
  })
  .superRefine((given, context) => {
    const lines = linesOf(given.run).map(line => readOneLine(line)?.when)
    const issue = (message: string): void => context.addIssue({ code: 'custom', message })
    if (lines.length === 0 && given.before === undefined && given.after === undefined) {
      issue('expected before, after or run')
    }
    for (const when of ['before', 'after'] as const) {
      const times = lines.filter(one => one === when).length + (given[when] === undefined ? 0 : 1)
      if (times > 1) issue(`${when} is given twice: make two entries of the chain`)
    }
  })

export type Options = z.infer<typeof options>
export type Target = z.infer<typeof target>

/** The targets, with those of the short form: one process a message, and bare results, as in Docker's gateway. */
export function targetsOf(given: Options): { before: Target | null; after: Target | null } {
  const targets = { before: given.before ?? null, after: given.after ?? null }
  for (const line of linesOf(given.run)) {
    const said = readOneLine(line)
    if (said === null) continue
    targets[said.when] = target.parse({ [said.kind]: said.argument, one_shot: said.kind !== 'http', form: 'docker' })
  }
  return targets
}

function linesOf(run: string | readonly string[] | undefined): readonly string[] {
  if (run === undefined) return []
  return typeof run === 'string' ? [run] : run
}

function isHttpUrl(text: string): boolean {
  const parsed = URL.parse(text)
  if (parsed === null || (parsed.protocol !== 'http:' && parsed.protocol !== 'https:')) return false
  return parsed.username === '' && parsed.password === ''
}

function canSplit(text: string): boolean {
  try {
    splitWords(text)
    return true
  } catch {
    return false
  }
}
