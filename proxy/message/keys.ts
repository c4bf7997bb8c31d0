/** A member that the scan looks for. */
export interface Key {
  readonly text: string
  readonly codes: Uint8Array
  /** ASCII lower case. */
  readonly folded: Uint8Array
  /** One bit of its level, to notice repetition. */
  readonly bit: number
  /** Where the range of its value is put. */
  readonly slot: number
  /** The keys inside its value, when that is an object; `null` = nothing of interest. */
  readonly inner: Level | null
}

/** The keys of interest of one object of a message. */
export interface Level {
  /** Candidates by length in bytes; `null` = none. */
  readonly byLength: readonly (readonly Key[] | null)[]
  readonly byFold: ReadonlyMap<string, Key>
  /**
   * Whether a repeated key, or one that differs only in case, is refused: a parser behind us might pick the other one.
   * Where not, only the exact key counts, and the last one wins, as with `JSON.parse`.
   */
  readonly strict: boolean
}

/** Slots for the ranges of values. */
export const SLOT = {
  jsonrpc: 0,
  method: 1,
  id: 2,
  params: 3,
  result: 4,
  error: 5,
  name: 6,
  uri: 7,
  taskId: 8,
  arguments: 9,
  meta: 10,
  inputResponses: 11,
  requestState: 12,
  ref: 13,
  refName: 14,
  refUri: 15,
  version: 16,
  capabilities: 17,
  isError: 18,
  code: 19,
  content: 20,
} as const

export const SLOTS = 21

function level(strict: boolean, keys: readonly [text: string, slot: number, inner?: Level][]): Level {
  const byFold = new Map<string, Key>()
  const byLength: (Key[] | null)[] = []
  for (const [index, [text, slot, inner]] of keys.entries()) {
    const folded = text.toLowerCase()
    const key = {
      text,
      codes: Buffer.from(text),
      folded: Buffer.from(folded),
      bit: 1 << index,
      slot,
      inner: inner ?? null,
    }
    byFold.set(folded, key)
    while (byLength.length <= text.length) byLength.push(null)
    byLength[text.length] = [...(byLength[text.length] ?? []), key]
  }
  return { byLength, byFold, strict }
}

const META = level(true, [
  ['io.modelcontextprotocol/protocolVersion', SLOT.version],
  ['io.modelcontextprotocol/clientCapabilities', SLOT.capabilities],
])

export const REF = level(true, [
  ['name', SLOT.refName],
  ['uri', SLOT.refUri],
])

const PARAMS = level(true, [
  ['name', SLOT.name],
  ['uri', SLOT.uri],
  ['arguments', SLOT.arguments],
  ['taskId', SLOT.taskId],
  ['_meta', SLOT.meta, META],
  ['inputResponses', SLOT.inputResponses],
  ['requestState', SLOT.requestState],
  ['ref', SLOT.ref, REF],
])

const RESULT = level(false, [
  ['isError', SLOT.isError],
  ['content', SLOT.content],
])
const ERROR = level(false, [['code', SLOT.code]])

/** The message itself. */
export const TOP = level(true, [
  ['jsonrpc', SLOT.jsonrpc],
  ['method', SLOT.method],
  ['id', SLOT.id],
  ['params', SLOT.params, PARAMS],
  ['result', SLOT.result, RESULT],
  ['error', SLOT.error, ERROR],
])

/** The key that a range spells exactly; `null` when none. */
export function exactKey(level: Level, bytes: Buffer, start: number, end: number): Key | null {
  const length = end - start
  if (length >= level.byLength.length) return null
  const candidates = level.byLength[length] as readonly Key[] | null
  if (candidates === null) return null
  for (let k = 0; k < candidates.length; k++) {
    const key = candidates[k] as Key
    if (sameBytes(bytes, start, key.codes)) return key
  }
  return null
}

/** The key that a range without escapes and non-ASCII bytes spells in another case; `null` when none. */
export function foldedKey(level: Level, bytes: Buffer, start: number, end: number): Key | null {
  const length = end - start
  if (length >= level.byLength.length) return null
  const candidates = level.byLength[length] as readonly Key[] | null
  if (candidates === null) return null
  for (let k = 0; k < candidates.length; k++) {
    const key = candidates[k] as Key
    if (sameFolded(bytes, start, key.folded)) return key
  }
  return null
}

/** The key that a decoded text spells, in any case and with letters that fold to ASCII; `null` when none. */
export function decodedKey(level: Level, text: string): Key | null {
  return level.byFold.get(fold(text)) ?? null
}

function sameBytes(bytes: Buffer, start: number, codes: Uint8Array): boolean {
  for (let i = 0; i < codes.length; i++) {
    if (bytes[start + i] !== codes[i]) return false
  }
  return true
}

function sameFolded(bytes: Buffer, start: number, folded: Uint8Array): boolean {
  for (let i = 0; i < folded.length; i++) {
    const c = bytes[start + i] as number
    if (c !== folded[i] && (c < 0x41 || c > 0x5a || (c | 0x20) !== folded[i])) return false
  }
  return true
}

/**
 * Lower case as parsers that ignore case see it: ASCII, and the letters outside ASCII that fold to ASCII ones: long s
 * and the Kelvin sign (Unicode simple folding, Go's encoding/json), dotless and dotted i (Java's equalsIgnoreCase).
 */
function fold(text: string): string {
  let folded = ''
  for (let i = 0; i < text.length; i++) folded += foldUnit(text.charCodeAt(i))
  return folded
}

function foldUnit(unit: number): string {
  if (unit >= 0x41 && unit <= 0x5a) return String.fromCharCode(unit | 0x20)
  if (unit === 0x17f) return 's'
  if (unit === 0x212a) return 'k'
  if (unit === 0x130 || unit === 0x131) return 'i'
  return String.fromCharCode(unit)
}
