const QUOTE = 0x22
const BACKSLASH = 0x5c

/** Where in a JSON value something stands: keys and positions from the root. */
export type Path = readonly (string | number)[]

/** An object or list that the walk is in. */
interface Level {
  /** Tells it from all others of the message. */
  readonly id: number
  /** Position in a list; -1 in an object. */
  index: number
  /** Range of the last key of an object, with its quotes. */
  keyStart: number
  keyEnd: number
}

/**
 * Goes over valid JSON text and stops at every key, string and number, with its place in the bytes: also at those of a repeated
 * key, which `JSON.parse` would hide. Nothing is decoded until somebody asks.
 */
export class JsonStrings {
  kind: 'key' | 'string' | 'number'
  /** Range of what the walk stopped at; that of a string with its quotes. */
  start: number
  end: number
  readonly #bytes: Buffer
  readonly #levels: Level[]
  /** The next byte to look at. */
  #at: number
  #expectsKey: boolean
  #containers: number

  /** @param bytes one JSON value */
  constructor(bytes: Buffer) {
    this.kind = 'string'
    this.start = 0
    this.end = 0
    this.#bytes = bytes
    this.#levels = []
    this.#at = 0
    this.#expectsKey = false
    this.#containers = 0
  }

  /** Moves to the next key, string or number. @returns whether there was one */
  next(): boolean {
    const bytes = this.#bytes
    while (this.#at < bytes.length) {
      const byte = bytes[this.#at] as number
      if (byte === QUOTE) {
        this.#string()
        return true
      }
      if (byte === 0x2d || (byte >= 0x30 && byte <= 0x39)) {
        this.#number()
        return true
      }
      this.#structure(byte)
      this.#at++
    }
    return false
  }

  /** The text of what the walk stopped at, decoded. */
  text(): string {
    if (this.kind === 'number') return this.#bytes.toString('latin1', this.start, this.end)
    return decode(this.#bytes, this.start, this.end)
  }

  /** Where that stands. For a key: where its value stands. */
  path(): Path {
    return this.#levels.map(level =>
      level.index < 0 ? decode(this.#bytes, level.keyStart, level.keyEnd) : level.index,
    )
  }

  /** How many objects and lists it stands in. */
  get depth(): number {
    return this.#levels.length
  }

  /** Whether it is what these keys lead to, from the root. @param keys ASCII */
  isAt(keys: readonly string[]): boolean {
    const levels = this.#levels
    if (levels.length !== keys.length) return false
    // The last ones tell more.
    for (let i = keys.length - 1; i >= 0; i--) if (!this.#isKey(levels[i], keys[i] as string)) return false
    return true
  }

  /** Whether it is the value of this key. @param key ASCII */
  isUnder(key: string): boolean {
    return this.#isKey(this.#levels.at(-1), key)
  }

  #isKey(level: Level | undefined, key: string): boolean {
    if (level === undefined || level.index >= 0) return false
    const { keyStart, keyEnd } = level
    if (keyEnd - keyStart !== key.length + 2) {
      return hasEscape(this.#bytes, keyStart, keyEnd) && decode(this.#bytes, keyStart, keyEnd) === key
    }
    for (let i = 0; i < key.length; i++) if (this.#bytes[keyStart + 1 + i] !== key.charCodeAt(i)) return false
    return true
  }

  /** The key that it is the value of; `''` in a list. */
  key(): string {
    const level = this.#levels.at(-1)
    return level === undefined || level.index >= 0 ? '' : decode(this.#bytes, level.keyStart, level.keyEnd)
  }

  /** The object or list it stands in. */
  container(): number {
    return this.#levels.at(-1)?.id ?? 0
  }

  #structure(byte: number): void {
    if (byte === 0x7b || byte === 0x5b) {
      const isObject = byte === 0x7b
      this.#levels.push({ id: ++this.#containers, index: isObject ? -1 : 0, keyStart: 0, keyEnd: 0 })
      this.#expectsKey = isObject
    } else if (byte === 0x7d || byte === 0x5d) {
      this.#levels.pop()
      this.#expectsKey = false
    } else if (byte === 0x2c) {
      const level = this.#levels.at(-1)
      if (level === undefined) return
      this.#expectsKey = level.index < 0
      if (level.index >= 0) level.index++
    }
  }

  #string(): void {
    const bytes = this.#bytes
    const start = this.#at
    let i = start + 1
    for (let byte = bytes[i]; byte !== QUOTE && byte !== undefined; byte = bytes[i]) i += byte === BACKSLASH ? 2 : 1
    this.start = start
    this.end = i + 1
    this.kind = this.#expectsKey ? 'key' : 'string'
    const level = this.#levels.at(-1)
    if (this.#expectsKey && level !== undefined) {
      level.keyStart = start
      level.keyEnd = i + 1
    }
    this.#expectsKey = false
    this.#at = i + 1
  }

  #number(): void {
    this.start = this.#at
    let i = this.start + 1
    while (i < this.#bytes.length && isOfNumber(this.#bytes[i] as number)) i++
    this.kind = 'number'
    this.end = i
    this.#at = i
  }
}

function decode(bytes: Buffer, start: number, end: number): string {
  if (!hasEscape(bytes, start, end)) return bytes.toString('utf8', start + 1, end - 1)
  return JSON.parse(bytes.toString('utf8', start, end)) as string
}

function hasEscape(bytes: Buffer, start: number, end: number): boolean {
  for (let i = start; i < end; i++) if (bytes[i] === BACKSLASH) return true
  return false
}

function isOfNumber(byte: number): boolean {
  return (byte >= 0x30 && byte <= 0x39) || byte === 0x2e || byte === 0x2b || byte === 0x2d || (byte | 0x20) === 0x65
}
