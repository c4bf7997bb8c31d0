import { channels, type ExchangeEnd, type Refusal } from './channels.ts'
import type { Log } from './log.ts'
import { decimalMs, isoTime, quote, quoteName, scalar } from './text.ts'

/**
 * Writes one line for each exchange that ended and for each request that was refused before it became one. Exchanges
 * that were denied or failed, and refusals, are at `warn`, all others at `info`.
 * @returns what stops it; without a running access log an exchange costs nothing for it
 */
export function startAccessLog(log: Log): () => void {
  const onEnd = (end: ExchangeEnd): void => logExchange(log, end)
  const onRefusal = (refusal: Refusal): void => logRefusal(log, refusal)
  channels.exchangeEnd.subscribe(onEnd as (message: unknown) => void)
  channels.refusal.subscribe(onRefusal as (message: unknown) => void)
  return () => {
    channels.exchangeEnd.unsubscribe(onEnd as (message: unknown) => void)
    channels.refusal.unsubscribe(onRefusal as (message: unknown) => void)
  }
}

function logExchange(log: Log, end: ExchangeEnd): void {
  const level = end.outcome.status === 'denied' || end.outcome.status === 'failed' ? 'warn' : 'info'
  if (!log.enabled(level)) return
  if (log.format === 'json') log.line(exchangeLine(end, level))
  else log[level](shortFields(end), [end.method === '' ? end.httpMethod : end.method, end.name].join(' ').trim())
}

/** For a terminal: what a person wants to see pass by. */
function shortFields({ server, client, outcome }: ExchangeEnd): Record<string, unknown> {
  return {
    server,
    client,
    status: outcome.status,
    http_status: outcome.httpStatus,
    ...(outcome.code !== null && { code: outcome.code }),
    ...(outcome.reason !== '' && { reason: outcome.reason }),
    duration_ms: Number(decimalMs(outcome.durationMs)),
    ...outcome.notes,
  }
}

/**
 * The line of one exchange, with its line end. Key order is fixed; `name`, `session`, `code`, `reason`, `replica` and
 * `notes` are there only where there is something to say. Its time is that of the exchange's end.
 */
export function exchangeLine(end: ExchangeEnd, level: 'info' | 'warn'): string {
  const outcome = end.outcome
  let line = `{"level":"${level}","timestamp":"${isoTime(end.startedAt + outcome.durationMs)}","message":"exchange"`
  line += `,"exchange":${quote(end.id)},"server":${quoteName(end.server)}`
  line += `,"http_method":"${end.httpMethod}","method":${quoteName(end.method)}`
  if (end.name !== '') line += `,"name":${quote(end.name)}`
  line += `,"client":${quoteName(end.client)}`
  if (end.session !== null) line += `,"session":${quote(end.session)}`
  line += `,"era":"${end.era}","status":"${outcome.status}","http_status":${outcome.httpStatus}`
  if (outcome.code !== null) line += `,"code":"${outcome.code}"`
  if (outcome.reason !== '') line += `,"reason":${quote(outcome.reason)}`
  line += `,"duration_ms":${decimalMs(outcome.durationMs)},"upstream_ms":${decimalMs(outcome.upstreamMs)}`
  line += `,"first_byte_ms":${decimalMs(outcome.firstByteMs)}`
  line += `,"bytes_to_server":${outcome.bytesToServer},"bytes_to_client":${outcome.bytesToClient}`
  if (outcome.replica !== '') line += `,"replica":${quoteName(outcome.replica)}`
  return `${line}${notesMember(outcome.notes)}}\n`
}

function notesMember(notes: Readonly<Record<string, string | number | boolean>>): string {
  let members = ''
  for (const key in notes) {
    members += `${members === '' ? '' : ','}${quoteName(key)}:${scalar(notes[key])}`
  }
  return members === '' ? '' : `,"notes":{${members}}`
}

function logRefusal(log: Log, refusal: Refusal): void {
  if (!log.enabled('warn')) return
  const { code, status, reason } = refusal
  if (log.format !== 'json') {
    log.warn({ code, http_status: status, reason }, 'refused')
    return
  }
  const head = `{"level":"warn","timestamp":"${isoTime(Date.now())}","message":"refusal"`
  log.line(`${head},"code":${quoteName(code)},"http_status":${status},"reason":${quote(reason)}}\n`)
}
