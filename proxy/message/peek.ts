import { sameAscii } from '../base/bytes.ts'
import { release, skipColon, skipSpace, skipString, skipValue, trouble } from './grammar.ts'

/** Which of these members of a JSON-RPC message comes first; `unknown` = none in the part that was looked at. */
export type PeekedKind = 'result' | 'error' | 'method' | 'unknown'

/** Nesting followed in a value that stands before the member sought. */
const PEEK_DEPTH = 64

/**
 * What a JSON-RPC message is, by a prefix of its bytes: the first of `result`, `error` and `method` among its top-level
 * keys. Of a batch, the first message decides. The bytes need not be valid or complete; nothing else is checked.
 */
export function peekKind(bytes: Buffer, start: number, end: number): PeekedKind {
  const kind = firstMember(bytes, start, end)
  release()
  return kind
}

function firstMember(bytes: Buffer, start: number, end: number): PeekedKind {
  trouble.deepest = 0
  let i = skipSpace(bytes, start, end)
  if (i < end && bytes[i] === 0x5b) i = skipSpace(bytes, i + 1, end)
  if (i >= end || bytes[i] !== 0x7b) return 'unknown'
  do {
    const key = skipSpace(bytes, i + 1, end)
    if (key >= end || bytes[key] !== 0x22) return 'unknown'
    i = skipString(bytes, key + 1, end)
    if (i < 0) return 'unknown'
    const kind = kindOf(bytes, key + 1, i - 1)
    if (kind !== 'unknown') return kind
    i = skipColon(bytes, i, end)
    if (i >= 0) i = skipValue(bytes, i, end, 1, PEEK_DEPTH)
    if (i < 0) return 'unknown'
    i = skipSpace(bytes, i, end)
  } while (i < end && bytes[i] === 0x2c)
  return 'unknown'
}

function kindOf(bytes: Buffer, start: number, end: number): PeekedKind {
  const length = end - start
  if (length === 5) return sameAscii(bytes, start, 'error') ? 'error' : 'unknown'
  if (length !== 6) return 'unknown'
  if (sameAscii(bytes, start, 'method')) return 'method'
  return sameAscii(bytes, start, 'result') ? 'result' : 'unknown'
}

const IS_ERROR = Buffer.from('"isError"')

/**
 * Whether `"isError": true` stands anywhere in the bytes. For counting, not for deciding: it does not look where. JSON
 * inside a JSON string does not count, as its quotes are escaped.
 */
export function hasToolError(bytes: Buffer): boolean {
  const end = bytes.length
  for (let at = bytes.indexOf(IS_ERROR); at >= 0; at = bytes.indexOf(IS_ERROR, at + 1)) {
    let i = skipSpace(bytes, at + IS_ERROR.length, end)
    if (i >= end || bytes[i] !== 0x3a) continue
    i = skipSpace(bytes, i + 1, end)
    if (i + 4 <= end && sameAscii(bytes, i, 'true')) return true
  }
  return false
}
