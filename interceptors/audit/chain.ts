import { hash, randomBytes } from 'node:crypto'
import {
  CHAIN_EVENT,
  GENESIS,
  type Hasher,
  type Head,
  type Link,
  linkOf,
  MAX_TAIL,
  type Marker,
} from './chain-format.ts'
import { type FileEnd, readEnd } from './read-end.ts'
import { isoTime } from './text.ts'

const NEWLINE = 0x0a

type Torn = NonNullable<Marker['torn']>
type Missing = NonNullable<Marker['missing']>

/** What has to be said before the next line, because a file was opened. */
export interface Opening {
  /** Bytes that go before everything: a line end that is missing. */
  readonly prefix: string
  readonly reason: Marker['reason']
  /** Where the marker will stand. */
  readonly offset: number
  readonly torn: Torn | null
  readonly missing: Missing | null
}

/** The chain of one file and of those it was before a rotation. Adds `seq` and `hash` to lines. */
export class Chain {
  readonly #hasher: Hasher
  readonly #now: () => number
  #id = ''
  #seq = 0
  #hash = GENESIS

  /** @param now milliseconds since the epoch */
  constructor(hasher: Hasher, now: () => number) {
    this.#hasher = hasher
    this.#now = now
  }

  get head(): Head {
    return { chain: this.#id, seq: this.#seq, hash: this.#hash }
  }

  /** Goes back to where it was: nothing of what was sealed since then has been written. */
  rewind(head: Head): void {
    this.#id = head.chain
    this.#seq = head.seq
    this.#hash = head.hash
  }

  /**
   * Finds where to go on in a file that has just been opened.
   * @param saved what `<file>.head` says; `null` = nothing, or it cannot be read
   */
  open(fd: number, size: number, saved: Head | null): Opening {
    const end = readEnd(fd, size)
    const torn = end.rest.length === 0 ? null : this.#judgeRest(end)
    const started = this.#id === ''
    const missing = started
      ? this.#resume(torn === null && end.rest.length > 0 ? linkOf(end.rest) : end.link, saved)
      : null
    return {
      prefix: end.rest.length === 0 ? '' : '\n',
      reason: this.#seq === 0 ? 'new' : size === 0 || !started ? 'continued' : 'restarted',
      offset: size + (end.rest.length === 0 ? 0 : 1),
      torn,
      missing,
    }
  }

  /** Lines, each with its line end, as they are to be written. */
  seal(lines: Buffer, opening: Opening | null): Buffer {
    const marker = opening === null ? '' : this.#marker(opening)
    const prefix = opening === null ? '' : opening.prefix
    const out = Buffer.allocUnsafe(
      prefix.length + marker.length + MAX_TAIL + lines.length + countLines(lines) * MAX_TAIL,
    )
    let at = out.write(prefix, 0, 'latin1')
    if (marker !== '') at = this.#sealEach(Buffer.from(marker), out, at)
    return out.subarray(0, this.#sealEach(lines, out, at))
  }

  #sealEach(lines: Buffer, out: Buffer, from: number): number {
    let at = from
    let start = 0
    for (let end = lines.indexOf(NEWLINE); end !== -1; end = lines.indexOf(NEWLINE, start)) {
      // Without the closing brace: what the chain adds stands before it.
      const body = at
      at += lines.copy(out, at, start, end - 1)
      at += out.write(`,"seq":${++this.#seq}`, at, 'latin1')
      this.#hash = this.#hasher.digest(this.#hash, out, body, at)
      at += out.write(`,"hash":"${this.#hash}"}\n`, at, 'latin1')
      start = end + 1
    }
    return at
  }

  /** The last bytes may be a whole line that lacks only its end: then it is a line. */
  #judgeRest(end: FileEnd): Torn | null {
    const link = linkOf(end.rest)
    const prev = end.link?.hash ?? (end.isWhole ? GENESIS : '')
    if (
      link !== null &&
      link.seq === (end.link?.seq ?? 0) + 1 &&
      this.#hasher.digestOfLine(prev, end.rest) === link.hash
    ) {
      return null
    }
    return { bytes: end.rest.length, sha256: hash('sha256', end.rest, 'hex') }
  }

  #resume(last: Link | null, saved: Head | null): Missing | null {
    const seq = last?.seq ?? 0
    this.#id = saved?.chain ?? randomBytes(8).toString('hex')
    if (last !== null && (saved === null || saved.seq <= seq)) {
      this.#seq = seq
      this.#hash = last.hash
      return null
    }
    if (saved === null) return null
    this.#seq = saved.seq
    this.#hash = saved.hash
    return last === null ? null : { first: seq + 1, last: saved.seq }
  }

  #marker({ reason, offset, torn, missing }: Opening): string {
    const marker: Marker = {
      chain: this.#id,
      algorithm: this.#hasher.keyed ? 'hmac-sha256' : 'sha256',
      reason,
      offset,
      prev: this.#hash,
      torn: torn ?? undefined,
      missing: missing ?? undefined,
    }
    return `${JSON.stringify({ timestamp: isoTime(this.#now()), event: CHAIN_EVENT, ...marker })}\n`
  }
}

function countLines(lines: Buffer): number {
  let count = 0
  for (let at = lines.indexOf(NEWLINE); at !== -1; at = lines.indexOf(NEWLINE, at + 1)) count++
  return count
}
