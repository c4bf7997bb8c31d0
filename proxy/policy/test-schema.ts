import { z } from 'zod'
import { duration } from '../api/units.ts'

const json = z.record(z.string(), z.unknown())

/** A moment: a test's clock stands still there. */
const moment = z.string().refine(text => /^\d{4}-\d\d-\d\d/.test(text) && !Number.isNaN(Date.parse(text)), {
  error: 'expected a date, such as 2026-01-03T12:00:00Z',
})

const message = z.union([json, z.string().min(1)]).meta({
  description: 'one JSON-RPC message: a mapping (jsonrpc and id may be left out), or its exact JSON text',
})

/** What comes in, and what the server answers. */
const given = z.strictObject({
  client: z.string().min(1).optional().meta({ description: 'name of the client; default: anonymous' }),
  server: z.string().min(1).optional().meta({ description: 'default: the only server there is' }),
  headers: z.record(z.string(), z.string()).optional().meta({ description: "fields of the client's HTTP request" }),
  session: z.string().min(1).optional().meta({ description: 'tells sessions apart' }),
  call: z.string().min(1).optional().meta({ description: 'short for tools/call of this tool' }),
  arguments: json.optional().meta({ description: 'of the call' }),
  method: z.string().min(1).optional().meta({ description: 'any other method, with params' }),
  params: json.optional(),
  message: message.optional(),
  message_file: z
    .string()
    .min(1)
    .optional()
    .meta({ description: 'file with one recorded JSON message, relative to this file' }),
  answers: z
    .string()
    .min(1)
    .optional()
    .meta({ description: "where the message is an answer: the method of the server's request it answers" }),
  result: z.unknown().optional().meta({ description: 'what the server answers; default: something harmless' }),
  error: json.optional().meta({ description: 'the JSON-RPC error the server answers with' }),
  events: z.array(message).optional().meta({ description: 'messages the server sends before its answer, as a stream' }),
  tools: z.array(json).optional().meta({ description: 'the tools the server tells of, as in tools/list' }),
})

/** Text, a pattern for it, or `true` = whatever it says. */
const reason = z.union([z.string(), z.literal(true), json])

const word = z.enum(['allowed', 'denied', 'replied', 'dropped', 'failed'])

const VERDICTS = word.options

const expected = z
  .strictObject({
    allowed: z.literal(true).optional().meta({ description: 'it went to the server, and the answer came back' }),
    denied: reason.optional().meta({ description: 'an interceptor refused it, with this text' }),
    replied: reason.optional().meta({ description: 'an interceptor answered, for this reason' }),
    dropped: reason.optional().meta({ description: 'an interceptor let the notification vanish' }),
    failed: reason.optional().meta({ description: 'an interceptor broke, or took too long' }),
    by: z.unknown().optional().meta({ description: 'name of the chain entry that decided' }),
    code: z.unknown().optional().meta({ description: 'of docs/errors.md, such as access_denied' }),
    http_status: z.number().int().optional(),
    server_asked: z.boolean().optional().meta({ description: 'whether the message reached the server' }),
    call: z.unknown().optional().meta({ description: 'the tool, prompt or resource the server is asked for' }),
    arguments: z.unknown().optional().meta({ description: 'the arguments the server gets' }),
    params: z.unknown().optional().meta({ description: 'the params the server gets' }),
    result: z.unknown().optional().meta({ description: 'the result the client gets' }),
    error: z.unknown().optional().meta({ description: 'the JSON-RPC error the client gets' }),
    events: z.unknown().optional().meta({ description: 'the messages the client gets before the answer' }),
    notes: z.unknown().optional().meta({ description: 'what interceptors noted for the audit line' }),
    audit: z.unknown().optional().meta({ description: 'fields of the line that audit writes' }),
  })
  .refine(one => VERDICTS.filter(verdict => one[verdict] !== undefined).length <= 1, {
    error: `more than one verdict: write one of ${VERDICTS.join(', ')}`,
  })

const then = z.union([word, expected], {
  error: ({ input }) => {
    const mapping = typeof input === 'object' && input !== null && !Array.isArray(input)
    return mapping ? undefined : `expected ${VERDICTS.join(', ')}, or a mapping of what should happen`
  },
})

const step = z.strictObject({
  after: duration().optional().meta({ description: 'time that passes before, such as 30s' }),
  now: moment.optional(),
  times: z.number().int().min(1).max(10_000).optional().meta({ description: 'how often it is done; default: once' }),
  when: given.optional().meta({ description: 'what differs from the "when" of the whole test' }),
  then,
})

/** One case of `tests:`. */
export const testSchema = z
  .strictObject({
    name: z.string().min(1),
    now: moment.optional().meta({ description: 'what time it is; default: 2026-01-05T12:00:00Z, a Monday' }),
    when: given.default({}),
    // biome-ignore lint/suspicious/noThenProperty: a key of the file, and never a function
    then: then.optional(),
    steps: z.array(step).min(1).optional().meta({ description: 'several messages in turn, one policy, one clock' }),
  })
  .superRefine((test, context) => {
    if ((test.then === undefined) === (test.steps === undefined)) {
      context.addIssue({ code: 'custom', message: 'there must be "then" or "steps", and not both' })
    }
    const steps = test.steps ?? [{ when: {} }]
    for (const [i, { when }] of steps.entries()) {
      const problem = messageProblem(mergeGiven(test.when, when ?? {}))
      const path = test.steps === undefined ? ['when'] : ['steps', i, 'when']
      if (problem !== null) context.addIssue({ code: 'custom', path, message: problem })
    }
  })

const SOURCES = ['call', 'method', 'message', 'message_file'] as const

/** A step's `when` over that of its test. A step with a message of its own has nothing of the other one. */
export function mergeGiven(all: RawGiven, own: RawGiven): RawGiven {
  if (!SOURCES.some(key => own[key] !== undefined)) return { ...all, ...own }
  const { call, method, message, message_file, arguments: _, params, answers, ...others } = all
  return { ...others, ...own }
}

function messageProblem(when: RawGiven): string | null {
  const given = SOURCES.filter(key => when[key] !== undefined)
  if (given.length === 0) return `no message: write one of ${SOURCES.join(', ')}`
  if (given.length > 1) return `more than one message (${given.join(', ')}): write one`
  if (when.arguments !== undefined && when.call === undefined) return '"arguments" belong to "call"'
  if (when.params !== undefined && when.method === undefined) return '"params" belong to "method"'
  return when.result !== undefined && when.error !== undefined
    ? 'both "result" and "error": a server answers with one'
    : null
}

/** A file of tests beside a policy: `NAME.test.yaml`. */
export const testFileSchema = z.strictObject({
  $schema: z.string().optional(),
  version: z.literal(1).default(1),
  policy: z
    .union([z.string().min(1), z.array(z.string().min(1)).min(1)])
    .optional()
    .meta({ description: 'the policy files it tests; default: NAME.yaml for NAME.test.yaml' }),
  tests: z.array(testSchema).min(1),
})

export type RawStep = z.infer<typeof step>
export type RawTest = z.infer<typeof testSchema>
export type RawGiven = z.infer<typeof given>
export type RawThen = z.infer<typeof then>
export type RawExpected = z.infer<typeof expected>
