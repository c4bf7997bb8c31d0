/** Sets of characters, as bits of one table over bytes. */
export const ALNUM = 1
/** Of base64 and base64url. */
export const BASE64 = 2
/** Of a name and what may close it: letters, digits, `_ . -`, blanks, quotes, backslashes, brackets, `%`. */
export const NAME = 4
/** Assigns: `= : , | >`. */
export const OPERATOR = 8
/** May stand between an operator and a value. */
export const OPENER = 16
/** May be part of a value: printable, no quote, no blank, nothing that separates. */
export const VALUE = 32
/** Of keywords. */
export const KEYWORD = 64
/** Not blank and no double quote. */
export const SOLID = 128

export const CLASSES = new Uint8Array(256)

function add(bit: number, characters: string): void {
  for (const character of characters) CLASSES[character.charCodeAt(0)] = (CLASSES[character.charCodeAt(0)] ?? 0) | bit
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'
const DIGITS = '0123456789'
let printable = ''
for (let code = 0x21; code < 0x7f; code++) printable += String.fromCharCode(code)

add(ALNUM, LETTERS + DIGITS)
add(BASE64, `${LETTERS + DIGITS}+/_-`)
add(NAME, `${LETTERS + DIGITS}_.- \t"'\`\\])%`)
add(OPERATOR, '=:,|>')
add(OPENER, '=:,|> \t\r\n"\'`([\\')
add(VALUE, printable.replace(/["'`\\<>,;(){}[\]|]/g, ''))
add(KEYWORD, `${LETTERS + DIGITS}_.~-`)
for (let code = 0x21; code < 256; code++) if (code !== 0x22) CLASSES[code] = (CLASSES[code] ?? 0) | SOLID

export function is(code: number, bit: number): boolean {
  return code < 256 && ((CLASSES[code] as number) & bit) !== 0
}

/** The value of two hexadecimal digits; -1 where they are none. */
export function hexPair(high: number, low: number): number {
  const a = hexDigit(high)
  const b = hexDigit(low)
  return a < 0 || b < 0 ? -1 : (a << 4) | b
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30
  const lower = code | 0x20
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1
}
