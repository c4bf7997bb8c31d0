import { defineInterceptor, z } from '#api'
import access from '../../interceptors/access/access.ts'
import { Registry } from '../../proxy/policy/registry.ts'

/** Looks at everything, changes nothing, and wants to know the end. */
const watch = defineInterceptor({
  name: 'watch',
  summary: 'Watches.',
  options: z.object({}),
  looks: { request: { need: 'envelope' }, response: { need: 'envelope' }, notification: { need: 'envelope' } },
  onFailure: 'open',
  create: () => ({ request() {}, response() {}, notification() {}, end() {} }),
})

/** Has options, reads JSON, edits. */
const filter = defineInterceptor({
  name: 'filter',
  summary: 'Filters.',
  options: z.object({
    program: z.string().min(1),
    window: z.number().int().min(1).max(100).optional(),
    api_key: z.string().max(8).optional(),
  }),
  looks: {
    request: { need: 'json', edits: true, directions: ['toServer'] },
    response: { need: 'json', edits: true, directions: ['toClient'], methods: ['tools/call'], maxBytes: 65536 },
  },
  onFailure: 'closed',
  timeoutMs: 250,
  create({ program }) {
    if (program === 'broken') throw new Error('line 1: no such function')
    return { request() {}, response() {} }
  },
})

/** Only ever looks at the answers of clients. */
const answers = defineInterceptor({
  name: 'answers',
  summary: 'Looks at answers of clients.',
  options: z.object({ look: z.boolean().default(true) }),
  looks: { response: { need: 'bytes', directions: ['toServer'] } },
  onFailure: 'open',
  create: ({ look }) => (look ? { response() {} } : {}),
})

/** Has a hook that it does not declare. */
const sloppy = defineInterceptor({
  name: 'sloppy',
  summary: 'Forgets a look.',
  options: z.object({}),
  looks: { request: { need: 'json' } },
  onFailure: 'open',
  create: () => ({ request() {}, response() {} }),
})

/** Answers by itself. */
const memory = defineInterceptor({
  name: 'memory',
  summary: 'Answers from memory.',
  options: z.object({}),
  looks: { request: { need: 'bytes' } },
  onFailure: 'open',
  answers: true,
  create: () => ({ request() {} }),
})

/** What the cases may use. Small ones of their own, so that a change of a real one does not change the cases. */
export const registry = Registry.of([access, answers, filter, memory, sloppy, watch])
