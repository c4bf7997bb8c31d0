import { createHmac, hash } from 'node:crypto'

/**
 * How a chained line ends: `,"seq":N,"hash":"H"}`. `H` is SHA-256, in hexadecimal, over the hash of the line before (64
 * characters) and the line as it is without `,"hash":"H"`; with a key, HMAC-SHA256 of the same.
 */
export const CHAIN_TAIL = /,"seq":(0|[1-9]\d{0,15}),"hash":"([0-9a-f]{64})"\}$/

/** No line is before the first one. */
export const GENESIS = '0'.repeat(64)

/** `event` of the lines that Sluice writes where it opens a chained file. */
export const CHAIN_EVENT = 'audit_chain'

/** Characters that a chain adds to a line, at most. */
export const MAX_TAIL = 7 + 16 + 9 + 64 + 2

/** Length of a hash, in characters. */
export const HASH_LENGTH = 64

/** Longest end of a line that has to be looked at to find its place in the chain. */
const TAIL_WINDOW = 128

/** Where a chain stands. */
export interface Link {
  readonly seq: number
  readonly hash: string
}

/** Which chain, and where it stands: what `<file>.head` says. */
export interface Head extends Link {
  readonly chain: string
}

/** What an `audit_chain` line says. */
export interface Marker {
  readonly chain: string
  /** Whether a key was used. */
  readonly algorithm: 'sha256' | 'hmac-sha256'
  readonly reason: 'new' | 'continued' | 'restarted'
  /** Where the line begins in its file, in bytes. */
  readonly offset: number
  /** Hash of the line before. */
  readonly prev: string
  /** The end of the file was cut off in the middle of a line: this many bytes, with this SHA-256. */
  readonly torn?: { readonly bytes: number; readonly sha256: string } | undefined
  /** Lines that should have been in the file, and were not. */
  readonly missing?: { readonly first: number; readonly last: number } | undefined
}

/** The place of a line in its chain; `null` when it has none. @param line without its line end */
export function linkOf(line: Buffer): Link | null {
  const found = CHAIN_TAIL.exec(line.toString('latin1', Math.max(0, line.length - TAIL_WINDOW)))
  if (found === null) return null
  const seq = Number(found[1])
  return Number.isSafeInteger(seq) ? { seq, hash: found[2] as string } : null
}

/** Makes hashes of lines. Keeps one buffer for all of them. */
export class Hasher {
  readonly keyed: boolean
  readonly #key: string
  #scratch = Buffer.allocUnsafeSlow(4096)

  /** @param key `''` = SHA-256; anything else = HMAC-SHA256 */
  constructor(key: string) {
    this.#key = key
    this.keyed = key !== ''
  }

  /**
   * @param body the line up to its hash: `{…,"seq":N`
   * @param start first byte of it in `body`
   */
  digest(prev: string, body: Buffer, start = 0, end = body.length): string {
    const size = HASH_LENGTH + end - start + 1
    if (size > this.#scratch.length) this.#scratch = Buffer.allocUnsafeSlow(size * 2)
    const scratch = this.#scratch
    scratch.write(prev, 0, HASH_LENGTH, 'latin1')
    body.copy(scratch, HASH_LENGTH, start, end)
    scratch[size - 1] = CLOSE_BRACE
    const bytes = scratch.subarray(0, size)
    return this.keyed ? createHmac('sha256', this.#key).update(bytes).digest('hex') : hash('sha256', bytes, 'hex')
  }

  /** The hash that a whole line ought to have. @param line without its line end; `linkOf` found its place */
  digestOfLine(prev: string, line: Buffer): string {
    return this.digest(prev, line, 0, line.length - HASH_PART)
  }
}

/** `,"hash":"H"}` */
const HASH_PART = 9 + HASH_LENGTH + 2
const CLOSE_BRACE = 0x7d
