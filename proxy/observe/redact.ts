/** What stands in a log line where a secret would stand (R102). */
export const REDACTED = '***REDACTED***'

/** Objects nested deeper than this are not printed at all, so nothing below can leak. */
export const MAX_DEPTH = 5

/** The longest string value of a field, in UTF-16 units; what is beyond is cut. */
export const MAX_STRING = 8192

const SECRET_KEY = /(?:password|passwd|passphrase|secret|token|apikey|authorization|cookie|credential|privatekey)s?$/
const NOT_LETTERS = /[^a-z0-9]/g
const USER_INFO = /(:\/\/)[^/\s?#@]+@/g

/** Whether values under this key are hidden: `password`, `api_key`, `X-Api-Key`, `refreshToken`, `Set-Cookie`, … */
export function isSecretKey(key: string): boolean {
  return SECRET_KEY.test(key.toLowerCase().replace(NOT_LETTERS, ''))
}

/** Hides the user name and password of URLs in a text, and bounds its length. */
export function scrub(text: string): string {
  const short = text.length > MAX_STRING ? `${text.slice(0, MAX_STRING)}… (${text.length} characters)` : text
  return short.includes('@') && short.includes('://') ? short.replace(USER_INFO, '$1***@') : short
}

/**
 * A copy of log fields without secrets: values under secret keys become `***REDACTED***` at any depth up to
 * `MAX_DEPTH`, deeper objects become `[Object]`. Errors become `{ type, message, code, stack, cause }`, bytes their length.
 * A number under a key that ends in `tokens` is a counter and stays.
 */
export function redact(fields: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return redactObject(fields, 1)
}

function redactObject(object: Readonly<Record<string, unknown>>, depth: number): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const key of Object.keys(object)) {
    const value = object[key]
    copy[key] = hides(key, value) ? REDACTED : redactValue(value, depth)
  }
  return copy
}

function hides(key: string, value: unknown): boolean {
  if (value === undefined || value === null || !isSecretKey(key)) return false
  return !(typeof value === 'number' && /tokens$/i.test(key))
}

function redactValue(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return scrub(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return `[${value.byteLength} bytes]`
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString()
  if (value instanceof Error) return depth >= MAX_DEPTH ? scrub(String(value)) : redactError(value, depth + 1)
  if (depth >= MAX_DEPTH) return '[Object]'
  if (Array.isArray(value)) return value.map(item => redactValue(item, depth + 1))
  if (value instanceof Map) return redactObject(Object.fromEntries(value), depth + 1)
  if (value instanceof Set) return [...value].map(item => redactValue(item, depth + 1))
  return redactObject(value as Record<string, unknown>, depth + 1)
}

function redactError(error: Error, depth: number): Record<string, unknown> {
  const plain: Record<string, unknown> = { type: error.name, message: scrub(error.message) }
  const code: unknown = Reflect.get(error, 'code')
  if (typeof code === 'string' || typeof code === 'number') plain.code = code
  if (error.stack !== undefined) plain.stack = scrub(error.stack)
  if (error.cause !== undefined) plain.cause = redactValue(error.cause, depth)
  return plain
}
