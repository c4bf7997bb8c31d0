import { type Json, parseExact } from '#api'

/** Deepest nesting that is taken apart; what is deeper is text. */
const MAX_DEPTH = 128

/** Node has it; the types of the language do not yet. A raw number is an object to `typeof`. */
const isRawJson = (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON

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
  return typeof value === 'object' && value !== null && !isRawJson(value)
}

export function isRecord(value: unknown): value is { [key: string]: Json } {
  return isContainer(value) && !Array.isArray(value)
}
