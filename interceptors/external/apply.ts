import { type JsonObject, type Message, Verdict } from '#api'
import { type Answer, isObject } from './answer.ts'
import { ExternalError } from './caller.ts'

/** Does with a request what was answered. @param entry who decided, for the operator */
export function applyToRequest(answer: Answer, message: Message, entry: string): Verdict | undefined {
  if (answer.kind === 'continue') return undefined
  if (answer.kind === 'error') return Verdict.deny(answer.code, answer.message)
  if (answer.kind === 'result') return Verdict.reply(answer.result, `answered by ${entry}`)
  const { params } = answer
  message.edit(json => {
    const before = json['params']
    const meta = isObject(before) ? before['_meta'] : undefined
    // The client's own: version and capabilities of a modern request, its progress token. It is not for others to drop.
    json['params'] = meta === undefined || '_meta' in params ? params : { ...params, _meta: meta }
  })
  return undefined
}

/** Does with an answer of the server what was answered. */
export function applyToResponse(answer: Answer, message: Message, entry: string): Verdict | undefined {
  if (answer.kind === 'continue') return undefined
  if (answer.kind === 'error') return Verdict.deny(answer.code, answer.message)
  if (answer.kind === 'params') throw new ExternalError('answered an answer with params: expected result or error')
  const { result } = answer
  if (message.json()['error'] !== undefined) return Verdict.reply(result, `replaced by ${entry}`)
  message.edit(json => {
    json['result'] = withType(result, json['result'] as JsonObject)
  })
  return undefined
}

/** A modern result says what it is (`resultType`); one that came without that keeps what stood there. */
function withType(result: JsonObject, before: JsonObject): JsonObject {
  const type = before['resultType']
  return type === undefined || 'resultType' in result ? result : { resultType: type, ...result }
}
