import { hidePairs, hidesValue, hideUserInfo, REDACTED } from './secret-words.ts'

/** Deeper values are not written. */
const MAX_DEPTH = 32

const { isRawJSON } = JSON as unknown as { isRawJSON(value: unknown): value is { readonly rawJSON: string } }

/**
 * JSON text of a value without secrets: at every depth, the value under a key such as `password`, `token`, `api_key`,
 * `secret` (any case, with or without `_` and `-`, also at the end of a longer key: `githubToken`) becomes
 * `***REDACTED***`, in texts that are JSON too. User names and passwords in URLs are cut. A number under a key that ends in
 * `tokens` is a counter. Numbers that `parseExact` kept stay as they were written.
 * @param maxBytes what is beyond is left out, and a note says how much; the notes come on top
 */
export function sanitise(value: unknown, maxBytes: number): string {
  const writer = new Writer(maxBytes)
  writer.value(value, 0)
  return writer.text
}

/** Writes JSON as long as there is room. */
class Writer {
  text = ''
  #left: number

  constructor(maxBytes: number) {
    this.#left = maxBytes
  }

  get left(): number {
    return Math.max(0, this.#left)
  }

  value(value: unknown, depth: number): void {
    if (typeof value === 'string') this.#string(value, depth)
    else if (typeof value !== 'object' || value === null) this.#put(JSON.stringify(value) ?? 'null')
    else if (isRawJSON(value)) this.#put(value.rawJSON)
    else if (depth >= MAX_DEPTH) this.#put('"[too deep]"')
    else if (Array.isArray(value)) this.#array(value, depth)
    else this.#object(Object.entries(value), depth)
  }

  #put(text: string): void {
    this.text += text
    this.#left -= text.length
  }

  #array(items: readonly unknown[], depth: number): void {
    this.#put('[')
    for (const [index, item] of items.entries()) {
      if (index > 0) this.#put(',')
      if (this.#left <= 0) {
        this.#put(`"[${items.length - index} items cut]"`)
        break
      }
      this.value(item, depth + 1)
    }
    this.#put(']')
  }

  #object(members: readonly [string, unknown][], depth: number): void {
    this.#put('{')
    for (const [index, [key, item]] of members.entries()) {
      if (index > 0) this.#put(',')
      if (this.#left <= 0) {
        this.#put(`"…":"[${members.length - index} members cut]"`)
        break
      }
      this.#put(`${this.#fit(key)}:`)
      if (hidesValue(key, item)) this.#put(`"${REDACTED}"`)
      else this.value(item, depth + 1)
    }
    this.#put('}')
  }

  /** JSON in a text, as tools answer with, is cleaned as JSON. */
  #string(text: string, depth: number): void {
    const inner = depth < MAX_DEPTH ? parseText(text) : undefined
    if (inner === undefined) {
      this.#put(this.#fit(hidePairs(hideUserInfo(text))))
      return
    }
    const writer = new Writer(this.left)
    writer.value(inner, depth + 1)
    this.#put(JSON.stringify(writer.text))
  }

  /** JSON text of a string, or of its beginning. */
  #fit(text: string): string {
    if (text.length * 6 < this.#left) return JSON.stringify(text)
    const whole = JSON.stringify(text)
    const size = Buffer.byteLength(whole)
    if (size <= this.left) return whole
    let kept = text.slice(0, this.left)
    while (kept.length > 0 && Buffer.byteLength(JSON.stringify(kept)) > this.left) {
      kept = kept.slice(0, Math.floor(kept.length * 0.75))
    }
    // Half of a pair of surrogates is no character.
    if (/[\uD800-\uDBFF]$/.test(kept)) kept = kept.slice(0, -1)
    return JSON.stringify(`${kept}[${Buffer.byteLength(text) - Buffer.byteLength(kept)} bytes cut]`)
  }
}

function parseText(text: string): unknown {
  const first = /^\s{0,64}([[{])/.exec(text)
  if (first === null) return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
