/** What stands in a line where a secret would stand (R102). */
const REDACTED = '***REDACTED***'

/** Deeper values are not written. */
const MAX_DEPTH = 32

const SECRET_KEY = /(?:password|passwd|passphrase|secret|token|apikey|authorization|cookie|credential|privatekey)s?$/
const SECRET_WORDS = new Set(['pwd', 'pass', 'auth', 'bearer', 'connectionstring', 'dsn'])
const NOT_LETTERS = /[^a-z0-9]/g
const USER_INFO = /(:\/\/)[^/\s?#@]+@/g

/**
 * JSON text of arguments without secrets: at every depth, the value under a key such as `password`, `token`, `api_key`,
 * `secret` (any case, with or without `_` and `-`, also at the end of a longer key: `githubToken`) becomes
 * `***REDACTED***`. User names and passwords in URLs are cut. A number under a key that ends in `tokens` is a counter.
 * @param maxBytes a longer text becomes the string `[<n> bytes]`
 */
export function sanitise(value: unknown, maxBytes: number): string {
  const text = JSON.stringify(clean(value, 0)) ?? 'null'
  const size = Buffer.byteLength(text)
  return size > maxBytes ? `"[${size} bytes]"` : text
}

function clean(value: unknown, depth: number): unknown {
  if (typeof value === 'string') return hideUserInfo(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= MAX_DEPTH) return '[too deep]'
  if (Array.isArray(value)) return value.map(item => clean(item, depth + 1))
  const copy: [string, unknown][] = []
  for (const [key, item] of Object.entries(value))
    copy.push([key, hides(key, item) ? REDACTED : clean(item, depth + 1)])
  // Not by assignment: a key `__proto__` is a key like any other here.
  return Object.fromEntries(copy)
}

function hides(key: string, value: unknown): boolean {
  const word = key.toLowerCase().replace(NOT_LETTERS, '')
  if (!SECRET_KEY.test(word) && !SECRET_WORDS.has(word)) return false
  return !(typeof value === 'number' && word.endsWith('tokens'))
}

/** Hides the user name and password of URLs in a text. */
export function hideUserInfo(text: string): string {
  return text.includes('://') && text.includes('@') ? text.replace(USER_INFO, '$1***@') : text
}
