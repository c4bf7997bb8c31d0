import { duration, globProblem, z } from '#api'

const glob = z.string().superRefine((pattern, context) => {
  const problem = globProblem(pattern)
  if (problem !== null) context.addIssue({ code: 'custom', message: problem })
})

const servers = (text: string) => z.array(glob).default([]).describe(text)

const path = z
  .string()
  .regex(/^[^.]+(\.[^.]+)*$/, 'expected names with dots between them, like data.users')
  .describe('Where they stand in the merged result: names with dots between them. Default: the result itself.')

const merge = z.strictObject({
  server: z
    .union([glob, z.array(glob)])
    .default('*')
    .describe('Servers that have these tools.'),
  tool: z.string().min(1).describe('The tool that clients call for one thing.'),
  into: z.string().min(1).describe('The tool that does the same for many.'),
  collect: z.strictObject({
    from: z.string().min(1).describe('The argument of `tool` that says which thing.'),
    to: z.string().min(1).describe('The argument of `into` that takes a list of them.'),
  }),
  split: z.strictObject({
    path: path.optional(),
    key: z
      .string()
      .min(1)
      .optional()
      .describe(
        'The member of each thing that says which one it is. Default: they are members of an object, by that name.',
      ),
    under: z
      .string()
      .min(1)
      .optional()
      .describe('The member of the single result that holds the thing. Default: it is it.'),
  }),
})

export type Merge = z.infer<typeof merge>

export const options = z.strictObject({
  coalesce: z
    .boolean()
    .default(true)
    .describe('Whether equal reads at the same time become one call: lists, resources, and the tools below.'),
  tools: z
    .union([z.array(glob), z.record(z.string().min(1), z.array(glob))])
    .default([])
    .describe('Tools that only read: globs, or globs by server (`*` = any).'),
  trust_annotations: servers('Servers whose `readOnlyHint` is believed. It is the server’s claim.'),
  share_clients: servers(
    'Servers whose answers do not depend on who asks: there, requests of different clients are put together too.',
  ),
  share_sessions: servers('Servers whose answers do not depend on the session (legacy era).'),
  max_wait: duration().default(30_000).describe('How long an equal request waits before it goes on by itself.'),
  merge: z.array(merge).default([]).describe('Calls of a tool for one thing that become one call of a tool for many.'),
  window: duration().default(50).describe('How long the first of them waits for others.'),
  max_size: z
    .int()
    .min(2)
    .max(1000)
    .default(100)
    .describe('Most calls in one; when they are there nobody waits any more.'),
  timeout: duration().default(30_000).describe('The longest wait for the answer to a merged call.'),
})

export type Options = z.infer<typeof options>
