import type { Json } from '#api'

/** Deepest nesting that is taken apart; what is deeper is text. */
const MAX_DEPTH = 128

/** A number whose digits no double holds: `JSON.stringify` writes it as it came. Everything else leaves it alone. */
interface RawJson {
  readonly rawJSON: string
}

interface ExactParser {
  parse(text: string, reviver: (key: string, value: unknown, context: { source?: string }) => unknown): Json
  rawJSON(text: string): RawJson
  isRawJSON(value: unknown): value is RawJson
}

/** Node has these; the types of the language do not yet (ES2026, "JSON.parse source text access"). */
const exact = JSON as unknown as ExactParser

/** `JSON.parse` that keeps `9007199254740993` and `1.0` as they are written. @throws SyntaxError, RangeError */
export function parseExact(text: string): Json {
  return exact.parse(text, (_key, value, { source }) => {
    if (typeof value !== 'number' || source === undefined || String(value) === source) return value
    return exact.rawJSON(source)
  })
}

/** The object or array that a text holds, exactly; `null` when it holds none, or one that is too deep to take apart. */
export function containerIn(text: string): Json | null {
  const first = /^\s*([[{])/.exec(text.slice(0, 64))?.[1]
  const last = text.trimEnd().at(-1)
  if (first === undefined || last !== (first === '{' ? '}' : ']')) return null
  try {
    const value = parseExact(text)
    return isShallow(value, MAX_DEPTH) ? value : null
  } catch {
    return null
  }
}

export function isShallow(value: Json | undefined, depth: number): boolean {
  if (!isContainer(value)) return true
  if (depth === 0) return false
  for (const part of Array.isArray(value) ? value : Object.values(value)) if (!isShallow(part, depth - 1)) return false
  return true
}

/** An object or array that can be taken apart. */
export function isContainer(value: unknown): value is Json[] | { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !exact.isRawJSON(value)
}

export function isRecord(value: unknown): value is { [key: string]: Json } {
  return isContainer(value) && !Array.isArray(value)
}
