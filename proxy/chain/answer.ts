import { ERRORS, type ErrorCode, type JsonObject } from '../api/index.ts'
import { errorAnswer, resultAnswer, toolErrorAnswer } from '../message/jsonrpc.ts'
import type { Decision } from './run.ts'

/** A whole HTTP answer made here. */
export interface LocalAnswer {
  readonly status: number
  readonly headers: string[]
  readonly body: Buffer
}

const JSON_TYPE = 'application/json'

/** The answer to a request that an interceptor replied to or refused. */
export function answerOf(decision: Decision, idText: string, method: string, modern: boolean): LocalAnswer {
  const answer = bareAnswer(decision, idText, method, modern)
  const fields = decision.verdict.headers
  if (fields !== null) for (const name in fields) answer.headers.push(name, fields[name] as string)
  return answer
}

function bareAnswer(decision: Decision, idText: string, method: string, modern: boolean): LocalAnswer {
  const { verdict, step } = decision
  if (verdict.action === 'reply') return jsonAnswer(200, resultAnswer(idText, verdict.result ?? {}, modern), null)
  const code = verdict.code ?? 'denied'
  if (method === 'tools/call' && isResult(step.answer, code)) {
    return jsonAnswer(200, toolErrorAnswer(idText, code, verdict.reason, verdict.data, modern), verdict.data)
  }
  return refusal(code, verdict.reason, idText, verdict.data, modern)
}

/**
 * A refusal of a request. The SDK clients throw the body of any answer but a 2xx away, and the error's code with it, so a
 * refusal by an interceptor is HTTP 200 with a JSON-RPC error (2025-11-25, Streamable HTTP, "Sending Messages"); only a
 * rate limit keeps its 429, which generic clients know how to obey.
 */
function refusal(
  code: ErrorCode,
  reason: string,
  idText: string,
  data: JsonObject | null,
  modern: boolean,
): LocalAnswer {
  const inBody = idText !== '' && ERRORS[code].source === 'interceptor' && code !== 'rate_limited'
  if (!inBody) return errorReply(code, reason, idText, data)
  return jsonAnswer(200, errorAnswer(idText, code, reason, data, modern), data)
}

/** An error as a JSON-RPC error object with the HTTP status of its row in the table. */
export function errorReply(code: ErrorCode, reason: string, idText: string, data: JsonObject | null): LocalAnswer {
  return jsonAnswer(ERRORS[code].http, errorAnswer(idText, code, reason, data), data)
}

/** A JSON body with its headers. */
function jsonAnswer(status: number, body: Buffer, data: JsonObject | null): LocalAnswer {
  const headers = ['content-type', JSON_TYPE, 'content-length', String(body.length)]
  const wait = data?.['retry_after_ms']
  if (typeof wait === 'number' && wait >= 0) headers.push('retry-after', String(Math.ceil(wait / 1000)))
  return { status, headers, body }
}

function isResult(answer: 'auto' | 'result' | 'error', code: ErrorCode): boolean {
  return answer === 'auto' ? ERRORS[code].actionable : answer === 'result'
}
