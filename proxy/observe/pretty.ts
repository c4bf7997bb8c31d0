import { createRequire } from 'node:module'

const LEVEL_COLORS: Readonly<Record<string, string>> = { debug: '36', info: '32', warn: '33', error: '31' }
const PLAIN = /^[\w./:@+*#[\]-]+$/

/** Makes one JSON log line readable: `10:22:31 info  listening  url=http://127.0.0.1:8080/mcp`. */
export type Prettify = (line: string) => string

/**
 * @param colors whether to use ANSI colours; nothing else in the text can hold a control character, because clients
 *   choose some of the values and a terminal obeys what it is sent
 */
export function createPrettify(colors: boolean): Prettify {
  // Loaded here and not at the top: a production process never needs it.
  const { prettyFactory } = createRequire(import.meta.url)('pino-pretty') as typeof import('pino-pretty')
  return prettyFactory({
    colorize: false,
    hideObject: true,
    ignore: 'level,timestamp',
    messageKey: 'message',
    timestampKey: 'timestamp',
    messageFormat: log => formatRecord(log as Record<string, unknown>, colors),
  }) as Prettify
}

/** One record as one line of text; the stack of an error follows on lines of its own. */
export function formatRecord(record: Record<string, unknown>, colors: boolean): string {
  const { timestamp, level, message, ...fields } = record
  let stack = ''
  let pairs = ''
  for (const [key, value] of Object.entries(fields)) {
    pairs += ` ${paint(key, '2', colors)}${paint('=', '2', colors)}${formatValue(value)}`
    stack ||= stackOf(value)
  }
  const label = paint(String(level).padEnd(5), LEVEL_COLORS[String(level)] ?? '0', colors)
  const head = `${paint(localTime(String(timestamp)), '2', colors)} ${label} ${visible(String(message ?? ''))}`
  return `${head}${pairs === '' ? '' : ` ${pairs}`}${stack}`
}

function localTime(iso: string): string {
  const time = new Date(iso)
  const part = (value: number): string => String(value).padStart(2, '0')
  return `${part(time.getHours())}:${part(time.getMinutes())}:${part(time.getSeconds())}`
}

function formatValue(value: unknown): string {
  if (typeof value === 'string') return PLAIN.test(value) ? value : visible(JSON.stringify(value))
  if (typeof value !== 'object' || value === null) return String(value)
  const message: unknown = (value as Record<string, unknown>).message
  return visible(JSON.stringify(typeof message === 'string' && stackOf(value) !== '' ? message : value))
}

function stackOf(value: unknown): string {
  const stack: unknown = typeof value === 'object' && value !== null ? (value as Record<string, unknown>).stack : null
  if (typeof stack !== 'string') return ''
  return stack
    .split('\n')
    .slice(1)
    .map(line => `\n         ${visible(line.trim())}`)
    .join('')
}

/** Control characters (C0, C1, DEL, direction marks) as escapes. */
function visible(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones to make visible
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u202a-\u202e\u2066-\u2069]/g, escapeUnit)
}

function escapeUnit(unit: string): string {
  return `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function paint(text: string, color: string, colors: boolean): string {
  return colors ? `\u001b[${color}m${text}\u001b[0m` : text
}
