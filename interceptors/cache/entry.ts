/** What is known of a result besides its bytes. Times in milliseconds, by the clock of the shelf it stands on. */
export interface Label {
  readonly storedAt: number
  readonly freshMs: number
  /** The server's own `ttlMs`, and where it stands in the result; -1 = it did not say. */
  readonly ttlMs: number
  readonly ttlStart: number
  readonly ttlEnd: number
  /** The state of its group when it was asked for: another one by now = out of date. */
  readonly epoch: string
}

/** An answer that is kept: the `result`, as the server wrote it. */
export class Entry {
  readonly result: Buffer
  readonly label: Label
  /** With the lifetime that is left, for a moment. */
  #told: Buffer
  #toldMs: number

  /** @param result its own copy */
  constructor(result: Buffer, label: Label) {
    this.result = result
    this.label = label
    this.#told = result
    this.#toldMs = label.ttlMs
  }

  /** Milliseconds since it went out of date; negative = it has not yet. */
  staleness(now: number): number {
    return now - this.label.storedAt - this.label.freshMs
  }

  /**
   * The result as it goes out now: `ttlMs` less its age (2026-07-28, "Caching"), in whole seconds where there are some,
   * so that it is written anew once a second at most.
   */
  textAt(now: number): Buffer {
    const { ttlMs, storedAt, ttlStart, ttlEnd } = this.label
    if (ttlMs <= 0) return this.result
    const exact = Math.max(0, Math.floor(ttlMs - Math.max(0, now - storedAt)))
    const left = exact > 1000 && exact < ttlMs ? exact - (exact % 1000) : exact
    if (left !== this.#toldMs) {
      this.#toldMs = left
      const { result } = this
      this.#told = Buffer.concat([result.subarray(0, ttlStart), Buffer.from(String(left)), result.subarray(ttlEnd)])
    }
    return this.#told
  }

  /** As the store keeps it: one line of label, then the result. */
  encode(): Buffer {
    return Buffer.concat([Buffer.from(`${JSON.stringify(this.label)}\n`), this.result])
  }

  /** `null` when the bytes are not what `encode` gave: another version of this program wrote them. */
  static decode(bytes: Uint8Array): Entry | null {
    const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const end = all.indexOf(0x0a)
    try {
      const label: unknown = JSON.parse(all.toString('utf8', 0, end))
      return isLabel(label) ? new Entry(all.subarray(end + 1), label) : null
    } catch {
      return null
    }
  }
}

/** A copy that holds nothing else in memory, as a part of a larger buffer would. */
export function ownCopy(bytes: Uint8Array, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafeSlow(end - start)
  copy.set(bytes.subarray(start, end))
  return copy
}

const NUMBERS = ['storedAt', 'freshMs', 'ttlMs', 'ttlStart', 'ttlEnd'] as const

function isLabel(value: unknown): value is Label {
  if (typeof value !== 'object' || value === null) return false
  const label = value as Record<string, unknown>
  return NUMBERS.every(key => typeof label[key] === 'number') && typeof label.epoch === 'string'
}
