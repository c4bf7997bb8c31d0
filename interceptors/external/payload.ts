import { type Exchange, type Json, type JsonObject, type Message, parseExact } from '#api'
import { isObject } from './answer.ts'

/** A message for the outside: a JSON object as text, on one line, every number as it came. */
export function payloadOf(message: Message, exchange: Exchange, form: 'sluice' | 'docker'): string {
  const json = parseExact(message.bytes()) as JsonObject
  if (form === 'docker' && message.kind === 'response' && isObject(json['result'])) return bareResult(json['result'])
  return JSON.stringify({ ...frameOf(message, exchange), ...partOf(json, message.kind) })
}

function frameOf({ direction, method, name }: Message, { server, principal }: Exchange): JsonObject {
  const tool: JsonObject = method === 'tools/call' ? { tool: name } : {}
  return { direction, method, server, name, ...tool, client: principal.id }
}

function partOf(json: JsonObject, kind: Message['kind']): JsonObject {
  const keys = kind === 'response' ? ['result', 'error'] : ['params']
  return Object.fromEntries(keys.filter(key => key in json).map(key => [key, json[key] as Json]))
}

/**
 * What scripts for Docker's gateway read after a call: its code sends the result by itself, its documentation says that
 * the result is the member `response`. This is both.
 */
function bareResult(result: JsonObject): string {
  return JSON.stringify({ ...result, response: result })
}
