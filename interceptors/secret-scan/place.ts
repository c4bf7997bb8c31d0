import type { Path } from './json-strings.ts'

const MAX_KEY = 64
const MAX_PLACE = 256
const PLAIN = /^[\w$@:/-]+$/

/**
 * A path as text: `result.content.0.text`, `params.arguments."a b"`. Keys come from the message: what is long is cut, and
 * `hides` says which keys hold a secret themselves; those become `<key>`.
 */
export function placeOf(path: Path, hides: (key: string) => boolean): string {
  const place = path.map(part => (typeof part === 'number' ? String(part) : keyOf(part, hides))).join('.')
  return place.length > MAX_PLACE ? `${place.slice(0, MAX_PLACE)}…` : place
}

function keyOf(key: string, hides: (key: string) => boolean): string {
  if (hides(key)) return '<key>'
  const short = key.length > MAX_KEY ? `${key.slice(0, MAX_KEY)}…` : key
  return PLAIN.test(short) ? short : JSON.stringify(short)
}

/** Fields of the protocol that a peer gives back as it got them: their text means nothing, and changing it breaks the exchange. */
const OPAQUE = new Set(['cursor', 'nextCursor', 'progressToken', 'requestState', 'taskId', 'sessionId'])
const FIXED_TOP = new Set(['jsonrpc', 'id', 'method'])
const FIXED_PARAMS = new Set(['name', 'uri', 'ref', 'protocolVersion', 'level', ...OPAQUE])
const FIXED_RESULT = new Set(['nextCursor', 'requestState', 'resultType', 'protocolVersion', 'taskId', 'model', 'role'])

/** Whether the value is an opaque one of the protocol, where only rules with a format count. */
export function isOpaque(path: Path): boolean {
  const last = path.at(-1)
  return (
    typeof last === 'string' && OPAQUE.has(last) && (path[0] === 'params' || path[0] === 'result') && path.length <= 4
  )
}

/** Whether the protocol itself needs the value as it is, so that it cannot be redacted. */
export function isFixed(path: Path): boolean {
  const [top, field] = path
  if (typeof top !== 'string') return true
  if (FIXED_TOP.has(top) || isOpaque(path)) return true
  if (top === 'params' && typeof field === 'string') return FIXED_PARAMS.has(field)
  return top === 'result' && path.length === 2 && typeof field === 'string' && FIXED_RESULT.has(field)
}
