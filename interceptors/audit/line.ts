import type { Exchange, Outcome, OutcomeStatus, VerdictRecord } from '#api'
import { decimal, isoTime, quote, quoteName, scalar } from './text.ts'

const MAX_VERDICTS = 32
/** In place of a name that must not be recorded; a method too, unless it is without digits as all of MCP's are. */
const WITHHELD = '***WITHHELD***'
const PLAIN_METHOD = /^[a-zA-Z_/]*$/

/** Why an exchange was no success, where the outcome has no reason of its own. */
const DEFAULT_ERRORS: Readonly<Record<OutcomeStatus, string>> = {
  ok: '',
  replied: '',
  dropped: 'an interceptor let the notification vanish',
  tool_error: 'the tool answered with isError: true',
  error: 'the server answered with an error',
  denied: 'an interceptor refused the message',
  aborted: 'the client left before the answer ended',
  failed: 'there was no answer',
}

/**
 * The line of one exchange, with its line end. Keys come in this order: timestamp, event, exchange, client_id, server,
 * method, tool or name, session, success, status, http_status, code, reason or error, result_size, duration_ms,
 * upstream_ms, verdicts, interceptor_us, notes, secrets, params, result. `tool` (tools/call) or `name`, `code`, `reason`,
 * `error`, `notes`, `secrets`, `params` and `result` are there only where there is something to say.
 * @param params JSON text of the sanitised arguments; `''` = none are written
 * @param result JSON text of the sanitised result; `''` = none is written
 */
export function auditLine(exchange: Exchange, outcome: Outcome, params: string, result = ''): string {
  const success = outcome.status === 'ok' || outcome.status === 'replied' || outcome.status === 'dropped'
  const isTool = exchange.method === 'tools/call'
  const name = outcome.withheldName ? WITHHELD : exchange.name
  const method = outcome.withheldName && !PLAIN_METHOD.test(exchange.method) ? WITHHELD : exchange.method
  let line = `{"timestamp":"${isoTime(exchange.startedAt + outcome.durationMs)}"`
  line += `,"event":"${eventOf(method, success)}","exchange":${quote(exchange.id)}`
  line += `,"client_id":${quoteName(exchange.principal.id)},"server":${quoteName(exchange.server)}`
  line += `,"method":${quoteName(method)}`
  if (isTool) line += `,"tool":${quote(name)}`
  else if (name !== '') line += `,"name":${quote(name)}`
  line += `,"session":${exchange.session === null ? 'null' : quote(exchange.session)}`
  line += `,"success":${success},"status":"${outcome.status}","http_status":${outcome.httpStatus}`
  if (outcome.code !== null) line += `,"code":"${outcome.code}"`
  line += reasonMember(outcome, success)
  line += `,"result_size":${outcome.bytesToClient},"duration_ms":${decimal(outcome.durationMs)}`
  line += `,"upstream_ms":${decimal(outcome.upstreamMs)},"verdicts":${verdictList(outcome.verdicts)}`
  line += `,"interceptor_us":${microsObject(outcome.interceptorMicros)}${notesMember(outcome.notes)}`
  if (params !== '') line += `,"params":${params}`
  return result === '' ? `${line}}\n` : `${line},"result":${result}}\n`
}

/**
 * The line of an exchange whose contents must not be recorded (`Exchange.withhold`): `params` and `result`, where they are
 * asked for, say why they are not there.
 */
export function withheldLine(exchange: Exchange, outcome: Outcome, include: readonly string[]): string {
  const why = quote(`***WITHHELD: ${outcome.withheld}***`)
  const found = (what: string): string => (include.includes(what) ? why : '')
  return auditLine(exchange, outcome, found('arguments'), found('results'))
}

function eventOf(method: string, success: boolean): string {
  if (method === 'tools/call') return success ? 'tool_invocation' : 'tool_error'
  if (method.startsWith('notifications/')) return 'mcp_notification'
  return method === '' ? 'mcp_message' : 'mcp_request'
}

function reasonMember(outcome: Outcome, success: boolean): string {
  if (!success) return `,"error":${quote(outcome.reason || DEFAULT_ERRORS[outcome.status])}`
  return outcome.reason === '' ? '' : `,"reason":${quote(outcome.reason)}`
}

/** A stream of a thousand edited events has a thousand verdicts: the line shows the first ones and counts the others. */
function verdictList(verdicts: readonly VerdictRecord[]): string {
  if (verdicts.length === 0) return '[]'
  if (verdicts.length <= MAX_VERDICTS) return `[${verdicts.map(verdictObject).join(',')}]`
  const shown = verdicts.slice(0, MAX_VERDICTS).map(verdictObject).join(',')
  return `[${shown},{"omitted":${verdicts.length - MAX_VERDICTS}}]`
}

function verdictObject(verdict: VerdictRecord): string {
  let text = `{"entry":${quoteName(verdict.entry)},"mode":"${verdict.mode}","kind":"${verdict.kind}"`
  text += `,"direction":"${verdict.direction === 'toServer' ? 'to_server' : 'to_client'}","action":"${verdict.action}"`
  if (verdict.code !== null) text += `,"code":"${verdict.code}"`
  return verdict.reason === '' ? `${text}}` : `${text},"reason":${quote(verdict.reason)}}`
}

function microsObject(micros: Readonly<Record<string, number>>): string {
  let members = ''
  for (const entry in micros) {
    members += `${members === '' ? '' : ','}${quoteName(entry)}:${decimal(micros[entry] as number)}`
  }
  return `{${members}}`
}

/** Notes of this kind tell of a secret that was used, by name: `exchange.note('secret:github-token', 'upstream')` (R093). */
const SECRET_NOTE = 'secret:'

function notesMember(notes: Readonly<Record<string, string | number | boolean>>): string {
  let members = ''
  let secrets = ''
  for (const key in notes) {
    if (key.startsWith(SECRET_NOTE)) secrets += `${secrets === '' ? '' : ','}${secretObject(key, notes[key])}`
    else members += `${members === '' ? '' : ','}${quoteName(key)}:${scalar(notes[key])}`
  }
  const shown = members === '' ? '' : `,"notes":{${members}}`
  return secrets === '' ? shown : `${shown},"secrets":[${secrets}]`
}

function secretObject(key: string, usedFor: unknown): string {
  return `{"name":${quoteName(key.slice(SECRET_NOTE.length))},"used_for":${scalar(usedFor)}}`
}
