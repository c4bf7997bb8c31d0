/** What stands in a line where a secret would stand (R102). */
export const REDACTED = '***REDACTED***'

const SECRET_KEY = /(?:password|passwd|passphrase|secret|token|apikey|authorization|cookie|credential|privatekey)s?$/
const SECRET_WORDS = new Set(['pwd', 'pass', 'auth', 'bearer', 'connectionstring', 'dsn'])
const NOT_LETTERS = /[^a-z0-9]/g
const USER_INFO = /(:\/\/)[^/\s?#@]+@/g

/** `password=…`, `"api_key": "…"`, `Authorization: Bearer …` in a text that is no JSON. Begins at a word, so it is linear. */
const PAIR =
  /((?:password|passwd|passphrase|secret|token|api[_-]?key|authorization|cookie|credential|private[_-]?key)(s?)["']?\s{0,8}[:=]\s{0,8})(?:(?:Bearer|Basic)\s{1,8})?("(?:[^"\\]|\\.)*"|'[^']*'|[^\s,;&}"']+)/gi

/** Whether the value under a key must not be seen. */
export function hidesValue(key: string, value: unknown): boolean {
  const word = key.toLowerCase().replace(NOT_LETTERS, '')
  if (!SECRET_KEY.test(word) && !SECRET_WORDS.has(word)) return false
  return !(typeof value === 'number' && word.endsWith('tokens'))
}

/** Hides the user name and password of URLs in a text. */
export function hideUserInfo(text: string): string {
  return text.includes('://') && text.includes('@') ? text.replace(USER_INFO, '$1***@') : text
}

/** Hides values that a text names as secrets itself; `tokens: 5` is a counter. */
export function hidePairs(text: string): string {
  return text.replace(PAIR, (all, name: string, plural: string, value: string) =>
    plural !== '' && /^\d+$/.test(value) ? all : `${name}${REDACTED}`,
  )
}
