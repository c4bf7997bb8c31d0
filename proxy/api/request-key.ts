/** Members of `_meta` that say nothing about what is asked for: who asks, how to report, how to trace. */
const SILENT_META = new Set(
  [
    'progressToken',
    'traceparent',
    'tracestate',
    'baggage',
    'io.modelcontextprotocol/clientInfo',
    'io.modelcontextprotocol/logLevel',
  ].map(key => JSON.stringify(key)),
)

/** Members of `params` that make a request a step of something longer: an answer in a round of questions, a task. */
const STEPS = new Set(['inputResponses', 'requestState', 'task'].map(key => JSON.stringify(key)))

/** Deeper nesting than this has no key. */
const MAX_DEPTH = 256

/**
 * A text that two requests share exactly when they ask for the same thing: the same method and the same `params`,
 * whatever their id, white space, order of members and escapes. Numbers count by their source text, so `1`, `1.0` and
 * `1e0` are three, and integers that doubles cannot tell apart stay apart; members that come twice count twice. Of
 * `_meta` the progress token, trace context, `clientInfo` and `logLevel` do not count; protocol version, capabilities,
 * extensions and all that is not known here do.
 *
 * It tells nothing about who asks; see `Exchange.callerKey`. Each character stands for one byte of UTF-8.
 *
 * @param body a JSON-RPC request, as `Message.bytes()` gives it: it has been found valid before
 * @returns `null` for a request that is never the same as another one: the answer to an `input_required`
 *   (2026-07-28, "Multi Round-Trip Requests"), a task; or one nested too deeply
 */
export function requestKey(body: Uint8Array): string | null {
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString('latin1')
  source = text
  escapes = text.includes('\\')
  at = 0
  isStep = false
  tooDeep = false
  blank()
  const key = readRequest()
  source = ''
  return isStep || tooDeep ? null : key
}

/** The reader's state: one message is read at a time, from its beginning to its end. */
let source = ''
let escapes = false
let at = 0
/** Whether the value read last is in the source just as it is in the key: then it need not be put together. */
let asWritten = false
let isStep = false
let tooDeep = false

/** Where in the request an object stands: a few members of the outer ones are special. */
const PARAMS = -2
const META = -1

function readRequest(): string {
  let method = ''
  let params = '{}'
  at++
  blank()
  while (at < source.length && source.charCodeAt(at) !== CLOSE_OBJECT) {
    const key = readKey()
    if (key === '"method"') method = readString()
    else if (key === '"params"' && source.charCodeAt(at) === OPEN_OBJECT) params = readObject(PARAMS)
    else readValue(2)
    separate()
  }
  return method + params
}

/** An object, its members in the order of their keys. */
function readObject(depth: number): string {
  const start = at
  const keys: string[] = []
  const values: string[] = []
  let sorted = true
  at++
  let compact = !blank()
  while (at < source.length && source.charCodeAt(at) !== CLOSE_OBJECT) {
    const keyAt = at
    const key = readKey()
    compact &&= asWritten && at === keyAt + key.length + 1
    const value = depth < 0 ? readSpecial(depth, key) : readValue(depth + 1)
    compact &&= asWritten && value !== null
    if (value !== null) {
      if (sorted && keys.length > 0 && key < (keys[keys.length - 1] as string)) sorted = false
      keys.push(key)
      values.push(value)
    }
    if (separate()) compact = false
  }
  at++
  asWritten = compact && sorted
  if (asWritten) return source.slice(start, at)
  return sorted ? joined(keys, values) : joinedInOrder(keys, values)
}

/** A member of `params` or of its `_meta`; `null` where it does not count. */
function readSpecial(depth: number, key: string): string | null {
  if (depth === META) {
    const value = readValue(4)
    return SILENT_META.has(key) ? null : value
  }
  if (STEPS.has(key)) isStep = true
  if (key !== '"_meta"' || source.charCodeAt(at) !== OPEN_OBJECT) return readValue(3)
  const meta = readObject(META)
  return meta === '{}' ? null : meta
}

/** A key, and the colon behind it. */
function readKey(): string {
  const key = readString()
  const written = asWritten
  blank()
  at++
  blank()
  asWritten = written
  return key
}

function joined(keys: readonly string[], values: readonly string[]): string {
  let text = '{'
  for (let i = 0; i < keys.length; i++) text += i === 0 ? `${keys[i]}:${values[i]}` : `,${keys[i]}:${values[i]}`
  return `${text}}`
}

/** Sorting is stable: what comes twice keeps its order, because which of the two counts depends on who reads it. */
function joinedInOrder(keys: readonly string[], values: readonly string[]): string {
  const order = keys.map((_, i) => i).sort((a, b) => compare(keys[a] as string, keys[b] as string))
  return joined(
    order.map(i => keys[i] as string),
    order.map(i => values[i] as string),
  )
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

function readValue(depth: number): string {
  const code = source.charCodeAt(at)
  if (code === QUOTE) return readString()
  if (code === OPEN_OBJECT || code === OPEN_ARRAY) return readContainer(code, depth)
  const start = at
  while (at < source.length && !endsLiteral(source.charCodeAt(at))) at++
  asWritten = true
  return source.slice(start, at)
}

function readContainer(code: number, depth: number): string {
  if (depth > MAX_DEPTH) {
    // The rest does not matter any more: go to its end.
    tooDeep = true
    at = source.length
    return ''
  }
  return code === OPEN_OBJECT ? readObject(depth) : readArray(depth)
}

function readArray(depth: number): string {
  const start = at
  at++
  let compact = !blank()
  let text = ''
  while (at < source.length && source.charCodeAt(at) !== CLOSE_ARRAY) {
    const value = readValue(depth + 1)
    compact &&= asWritten
    text += text === '' ? value : `,${value}`
    if (separate()) compact = false
  }
  at++
  asWritten = compact
  return compact ? source.slice(start, at) : `[${text}]`
}

/** Strings that are written in different ways are the same: what has an escape is written anew. */
function readString(): string {
  const start = at
  asWritten = true
  if (!escapes) {
    const end = source.indexOf('"', start + 1)
    at = end === -1 ? source.length : end + 1
    return source.slice(start, at)
  }
  let escaped = false
  for (at = start + 1; at < source.length && source.charCodeAt(at) !== QUOTE; at++) {
    if (source.charCodeAt(at) === BACKSLASH) {
      escaped = true
      at++
    }
  }
  at++
  return escaped ? rewritten(start, at) : source.slice(start, at)
}

function rewritten(start: number, end: number): string {
  asWritten = false
  const value: unknown = JSON.parse(Buffer.from(source.slice(start, end), 'latin1').toString())
  return Buffer.from(JSON.stringify(value)).toString('latin1')
}

/** Goes on to the next element, or to the closing bracket. @returns whether there was white space on the way */
function separate(): boolean {
  const before = blank()
  if (source.charCodeAt(at) !== COMMA) return before
  at++
  return blank() || before
}

/** @returns whether there was any */
function blank(): boolean {
  const start = at
  for (;;) {
    const code = source.charCodeAt(at)
    // The usual character behind a value is none of these and above them all.
    if (code > 0x20 || (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09)) return at !== start
    at++
  }
}

function endsLiteral(code: number): boolean {
  return code === COMMA || code === CLOSE_OBJECT || code === CLOSE_ARRAY || code <= 0x20
}

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
