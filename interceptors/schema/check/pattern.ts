import { RE2JS } from 're2js'

/** Longer ones are not read. */
const MAX_PATTERN_LENGTH = 2000

/** What `\s` means in ECMAScript; RE2 knows only the ASCII ones. */
const SPACES = '\\t-\\r \\x{a0}\\x{1680}\\x{2000}-\\x{200a}\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}\\x{feff}'
const SURROGATES = /\\u(d[89ab][0-9a-f]{2})\\u(d[c-f][0-9a-f]{2})/gi

/** A regular expression of a schema, in time linear in the text, whatever the pattern. */
export type Pattern = Pick<RE2JS, 'test'>

/**
 * Reads a `pattern` (ECMA-262, with the `u` flag where it is valid that way).
 * @returns `null` where it needs what only a backtracking engine can do (look-around, back references, repeats above
 *   1000), or is no regular expression
 */
export function compilePattern(source: string): Pattern | null {
  if (source.length > MAX_PATTERN_LENGTH || !isRegExp(source)) return null
  const translated = translate(source.replace(SURROGATES, joinSurrogates))
  if (translated === null) return null
  try {
    return RE2JS.compile(RE2JS.translateRegExp(translated))
  } catch {
    return null
  }
}

/** Only made, never run. */
function isRegExp(source: string): boolean {
  for (const flags of ['u', '']) {
    try {
      new RegExp(source, flags)
      return true
    } catch {
      // The other flags may take it.
    }
  }
  return false
}

function joinSurrogates(_: string, high: string, low: string): string {
  const point = (Number.parseInt(high, 16) - 0xd800) * 0x400 + (Number.parseInt(low, 16) - 0xdc00) + 0x10000
  return `\\u{${point.toString(16)}}`
}

/** Writes what the two engines read differently so that RE2 means what ECMA-262 means; `null` where it cannot. */
function translate(source: string): string | null {
  let out = ''
  let inClass = false
  for (let i = 0; i < source.length; i++) {
    const character = source[i] as string
    if (character === '\\') {
      const escaped = translateEscape(source, i, inClass)
      if (escaped === null) return null
      out += escaped.text
      i = escaped.end
    } else if (inClass) {
      // `[[:alpha:]]` names a class in RE2 alone.
      out += character === '[' ? '\\[' : character
      inClass = character !== ']'
    } else {
      out += character === '.' ? '[^\\n\\r\\x{2028}\\x{2029}]' : character
      inClass = character === '['
    }
  }
  return out
}

/** @returns the text for the escape at `at`, and the position of its last character */
function translateEscape(source: string, at: number, inClass: boolean): { text: string; end: number } | null {
  const letter = source[at + 1] ?? ''
  if (/[1-9kQECAzZ]/.test(letter)) return letter === 'k' || /[1-9]/.test(letter) ? null : { text: letter, end: at + 1 }
  if (letter === 's') return { text: inClass ? SPACES : `[${SPACES}]`, end: at + 1 }
  if (letter === 'S' && !inClass) return { text: `[^${SPACES}]`, end: at + 1 }
  const script = /^\\([pP])\{(?:Script|sc|General_Category|gc)=(\w+)\}/.exec(source.slice(at, at + 60))
  if (script !== null) return { text: `\\${script[1]}{${script[2]}}`, end: at + script[0].length - 1 }
  return { text: `\\${letter}`, end: at + 1 }
}
