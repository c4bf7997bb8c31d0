import { defineInterceptor, type Json, type Message, type Verdict, z } from '#api'

/**
 * Reads every message as JSON in both directions, to the last leaf, and changes nothing. It fails, closed, where the JSON it is
 * given is not what the bytes say: so a green conformance run also means that interceptors see the truth.
 */
export default defineInterceptor({
  name: 'read-json',
  summary: 'Reads every message as JSON and checks it against its bytes; changes nothing.',
  options: z.strictObject({ label: z.string().default('') }),
  looks: {
    request: { need: 'json', tooBig: 'deny' },
    response: { need: 'json', tooBig: 'deny' },
    notification: { need: 'json', tooBig: 'deny' },
  },
  onFailure: 'closed',
  create: () => ({ request: read, response: read, notification: read }),
})

const DECODER = new TextDecoder('utf-8', { fatal: true })

function read(message: Message): Verdict | undefined {
  const parsed: Json = JSON.parse(DECODER.decode(message.bytes()))
  const json = message.json()
  if (leaves(parsed) !== leaves(json)) throw new Error(`${message.method}: json() and bytes() differ`)
  if (message.kind !== 'response' && json.method !== message.method) throw new Error(`${message.method}: wrong method`)
  if (message.kind !== 'notification' && json.id !== message.id) throw new Error(`${message.method}: wrong id`)
  return undefined
}

/** Counts all values, which reads them all. */
function leaves(value: Json): number {
  if (value === null || typeof value !== 'object') return 1
  let count = 1
  for (const child of Array.isArray(value) ? value : Object.values(value)) count += leaves(child)
  return count
}
