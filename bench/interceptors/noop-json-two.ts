import { defineInterceptor, type Hooks, type Message, z } from '#api'

/** Has every message parsed, both ways, and does nothing with it: what the need for JSON costs by itself. */
export default defineInterceptor({
  name: 'noop-json-two',
  summary: 'Parses requests and answers, and changes nothing.',
  options: z.strictObject({}),
  looks: { request: { need: 'json' }, response: { need: 'json' } },
  onFailure: 'open',
  create: (): Hooks => ({ request: parse, response: parse }),
})

function parse(message: Message): undefined {
  message.json()
}
