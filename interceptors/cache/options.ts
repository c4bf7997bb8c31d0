import { byteSize, duration, globProblem, z } from '#api'

const glob = z.string().superRefine((pattern, context) => {
  const problem = globProblem(pattern)
  if (problem !== null) context.addIssue({ code: 'custom', message: problem })
})

const servers = (text: string) => z.array(glob).default([]).describe(text)

export const options = z.strictObject({
  tools: z
    .union([z.array(glob), z.record(z.string().min(1), z.array(glob))])
    .default([])
    .describe('Tools that only read, so that their results may be kept: globs, or globs by server (`*` = any).'),
  trust_annotations: servers(
    'Servers whose `readOnlyHint` is believed: the results of tools that have it are kept too. It is the server’s claim.',
  ),
  public_from: servers(
    'Servers whose `cacheScope: public` is believed: such lists and resources are given to any client that may ask.',
  ),
  share_sessions: servers(
    'Servers whose answers do not depend on the session. Elsewhere what one session got is for that session alone.',
  ),
  ttl: duration().default(300_000).describe('How long the result of a tool is kept.'),
  list_ttl: duration()
    .optional()
    .describe(
      'How long lists and resources are kept that say nothing about it, as those of the legacy era. Default: not at all.',
    ),
  max_ttl: duration().default(300_000).describe('The longest `ttlMs` of a server that is believed.'),
  stale_while_revalidate: duration()
    .default(0)
    .describe('How long after that an old answer is still given, while a new one is fetched in the background.'),
  stale_on_error: duration()
    .default(0)
    .describe('How long after that an old answer is still given if the server fails.'),
  single_flight: z.boolean().default(true).describe('Whether equal requests at the same time wait for the first one.'),
  max_wait: duration().default(30_000).describe('How long they wait for it before they go on by themselves.'),
  max_entries: z.int().min(1).max(1_000_000).default(1000).describe('Most answers that are kept.'),
  max_bytes: byteSize()
    .default(64 * 1024 * 1024)
    .describe('Memory for answers and their keys; those not used for longest go first.'),
  max_result_bytes: byteSize()
    .default(1024 * 1024)
    .describe('The largest result that is kept.'),
  store: z
    .boolean()
    .default(false)
    .describe('Keeps answers in the store, for all workers and instances that share it, in place of memory.'),
})

export type Options = z.infer<typeof options>
