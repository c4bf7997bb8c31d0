import { defineInterceptor, type Message, type Verdict, z } from '#api'

/** Edits every message in both directions so that it says the same again: the whole machinery of edits runs, nothing may change. */
export default defineInterceptor({
  name: 'rewrite-same',
  summary: 'Adds a field to every message and takes it away again, in two edits.',
  options: z.strictObject({}),
  looks: {
    request: { need: 'json', edits: true },
    response: { need: 'json', edits: true },
    notification: { need: 'json', edits: true },
  },
  onFailure: 'closed',
  create: () => ({ request: rewrite, response: rewrite, notification: rewrite }),
})

function rewrite(message: Message): Verdict | undefined {
  message.edit(json => {
    json['x-conformance'] = { here: true }
  })
  message.edit(json => {
    delete json['x-conformance']
  })
  return undefined
}
