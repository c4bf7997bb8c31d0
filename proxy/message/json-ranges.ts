import { skipColon, skipSpace, skipString, skipValue, trouble } from './grammar.ts'

/** Deeper than anything that was accepted: the source has been validated before. */
const ANY_DEPTH = 100_000

/** Where a member of an object, or an element of an array, stands in the source text. */
export interface Part {
  /** The decoded key; `''` for an element. */
  readonly key: string
  /** Position of the comma before it, or of the opening bracket for the first one. */
  readonly comma: number
  /** Where it begins: at its key's quote, or at the element. */
  readonly start: number
  /** Range of its value. */
  readonly valueStart: number
  readonly valueEnd: number
}

/** An object or an array in the source text. */
export interface Container {
  readonly parts: readonly Part[]
  /** Position of its opening bracket. */
  readonly open: number
  /** Position of its closing bracket. */
  readonly close: number
}

/**
 * Finds the parts of an object or array.
 * @param at position of its opening bracket, in valid JSON
 */
export function containerAt(source: Buffer, at: number): Container {
  const end = source.length
  const isObject = source[at] === 0x7b
  const parts: Part[] = []
  let comma = at
  let i = skipSpace(source, at + 1, end)
  if (source[i] === (isObject ? 0x7d : 0x5d)) return { parts, open: at, close: i }
  for (;;) {
    const part = partAt(source, comma, i, isObject)
    parts.push(part)
    comma = skipSpace(source, part.valueEnd, end)
    if (source[comma] !== 0x2c) return { parts, open: at, close: comma }
    i = skipSpace(source, comma + 1, end)
  }
}

/** Position behind the value that stands at `at`. */
export function valueEndAt(source: Buffer, at: number): number {
  trouble.deepest = 0
  return skipValue(source, at, source.length, 0, ANY_DEPTH)
}

function partAt(source: Buffer, comma: number, start: number, isObject: boolean): Part {
  if (!isObject) return { key: '', comma, start, valueStart: start, valueEnd: valueEndAt(source, start) }
  const keyEnd = skipString(source, start + 1, source.length)
  const valueStart = skipColon(source, keyEnd, source.length)
  const key = JSON.parse(source.toString('utf8', start, keyEnd)) as string
  return { key, comma, start, valueStart, valueEnd: valueEndAt(source, valueStart) }
}
