import { hash } from 'node:crypto'
import { CHAIN_EVENT, GENESIS, Hasher, type Head, type Link, linkOf, type Marker } from './chain-format.ts'
import type { FileLine } from './read-lines.ts'

/** Something is not as it was written. */
export interface Problem {
  readonly file: string
  /** From 1; 0 = the file as a whole. */
  readonly line: number
  /** The place in the chain that the line claims; 0 = none. */
  readonly seq: number
  readonly text: string
}

/** A place that the next line may follow on. */
interface Candidate {
  readonly seq: number
  readonly hash: string
}

/** One chain, as far as it was read. */
interface Track {
  id: string
  first: number
  last: Link
  /** After a line that does not fit: what may still be the right one before the next. */
  doubts: Candidate[]
}

const MAX_DOUBTS = 8
/** Beyond this, problems are counted only. */
const MAX_PROBLEMS = 1000
const CHAIN_MARK = Buffer.from(`"event":"${CHAIN_EVENT}","chain":"`)
/** How far from its beginning a marker says that it is one. */
const MARK_WINDOW = 128

/** Reads chained files, in order, and tells where they are not as they were written. */
export class Verifier {
  readonly problems: Problem[] = []
  problemCount = 0
  /** What is no problem, but should be known. */
  readonly notes: string[] = []
  lines = 0
  readonly #hashers: readonly Hasher[]
  readonly #keyed: boolean
  readonly #heads = new Map<string, { file: string; head: Head; seen: string }[]>()
  readonly #tracks: Track[] = []
  /** Lines that must be there, by their hash. */
  readonly #wanted = new Map<string, { seq: number; seen: boolean }>()
  #file = ''
  #track: Track | null = null
  /** Lines of this file before its first one that is chained. */
  #plain = 0
  /** A line that has no place; the next one may explain it. */
  #odd: FileLine | null = null
  #oddBytes: Buffer | null = null

  /** @param keys `[]` = the chain has none; a line may fit any of them */
  constructor(keys: readonly string[]) {
    this.#keyed = keys.length > 0
    this.#hashers = keys.length > 0 ? keys.map(key => new Hasher(key)) : [new Hasher('')]
  }

  /** Where a chain must have come to at least. Tell it before the files. @param file where that is said */
  expect(file: string, head: Head): void {
    const known = this.#heads.get(head.chain) ?? []
    known.push({ file, head, seen: '' })
    this.#heads.set(head.chain, known)
  }

  /** A line that somebody has kept the place of. Without it, what was cut off at the end, with its `.head` file, does not show. */
  expectLine({ seq, hash }: Link): void {
    this.#wanted.set(hash, { seq, seen: false })
  }

  complain(file: string, text: string): void {
    this.#reportAt(file, 0, 0, text)
  }

  begin(file: string): void {
    this.#file = file
    this.#track = null
    this.#plain = 0
    this.#odd = null
  }

  line(line: FileLine): void {
    const link = linkOf(line.bytes)
    if (link === null || !line.isWhole) {
      this.#settleOdd()
      if (!line.isWhole) this.#report(line.number, link?.seq ?? 0, 'the line is cut off: it has no line end')
      else this.#keepOdd(line)
      return
    }
    this.lines++
    const marker = markerOf(line.bytes)
    if (marker !== null) this.#marked(line, link, marker)
    else this.#chained(line, link)
  }

  /** The end of a file. */
  end(): void {
    this.#settleOdd()
    if (this.#track !== null) return
    if (this.#plain > 0) this.#report(0, 0, `none of its ${this.#plain} lines is chained`)
    else this.notes.push(`${this.#file}: the file is empty`)
  }

  /** All files have been read: what was there at the end, and is not any more? */
  finish(): void {
    for (const [chain, expected] of this.#heads) {
      const last = this.#tracks
        .filter(track => track.id === chain)
        .reduce((most, track) => Math.max(most, track.last.seq), 0)
      for (const one of expected) this.#checkHead(one, last)
    }
    for (const [expected, { seq, seen }] of this.#wanted) {
      if (!seen)
        this.#reportAt(`${seq}:${expected}`, 0, 0, 'no line has this place and hash: it was removed, or written anew')
    }
    for (const track of this.#tracks) {
      if (track.first > 1)
        this.notes.push(`chain ${track.id} begins at seq ${track.first}: earlier files were not given`)
      if (!this.#heads.has(track.id)) {
        this.notes.push(
          `chain ${track.id} ends at seq ${track.last.seq}: without its .head file, nobody can tell whether lines after it are missing`,
        )
      }
    }
  }

  /** Each chain, and what was read of it. */
  summary(): { chain: string; first: number; last: number; hash: string }[] {
    return this.#tracks.map(({ id, first, last }) => ({ chain: id, first, last: last.seq, hash: last.hash }))
  }

  #checkHead({ file, head, seen }: { file: string; head: Head; seen: string }, last: number): void {
    if (last < head.seq) {
      this.#reportAt(
        file,
        0,
        head.seq,
        `the chain should go on to seq ${head.seq}, but ends at ${last}: lines are missing at the end`,
      )
    } else if (seen !== '' && seen !== head.hash) {
      this.#reportAt(file, 0, head.seq, `the line with seq ${head.seq} should have the hash ${head.hash}`)
    }
  }

  #marked(line: FileLine, link: Link, marker: Marker): void {
    if (this.#odd !== null) this.#judgeOdd(marker)
    else if (marker.torn !== undefined)
      this.#report(line.number, link.seq, 'the line that was cut off before this one is gone')
    const isFirst = this.#track === null
    if (isFirst) this.#beginTrack(line, link, marker)
    else this.#continueTrack(line, link, marker)
    if (marker.missing !== undefined) {
      const { first, last } = marker.missing
      this.#report(line.number, link.seq, `lines with seq ${first} to ${last} were gone when the file was opened here`)
    }
    if (isFirst && marker.offset !== line.offset) {
      this.#report(
        line.number,
        link.seq,
        `what stands before this line has ${line.offset} bytes, and had ${marker.offset} when the chain began`,
      )
    }
    if (this.#keyed && marker.algorithm !== 'hmac-sha256') {
      this.#report(line.number, link.seq, 'the chain says that it has no key')
    }
  }

  /** The first line of a file that is chained. */
  #beginTrack(line: FileLine, link: Link, marker: Marker): void {
    if (this.#plain > 0)
      this.notes.push(`${this.#file}: ${this.#plain} lines before line ${line.number} are not chained`)
    const known =
      this.#tracks.find(track => track.last.hash === marker.prev) ??
      this.#tracks.find(track => track.id === marker.chain)
    if (known !== undefined) {
      this.#track = known
      this.#continueTrack(line, link, marker)
      return
    }
    const before: Link = { seq: link.seq - 1, hash: marker.prev }
    const track: Track = { id: marker.chain, first: link.seq, last: before, doubts: [] }
    this.#tracks.push(track)
    this.#track = track
    if ((link.seq === 1) !== (marker.prev === GENESIS)) this.#report(line.number, link.seq, 'the line was changed')
    this.#follow(track, line, link)
  }

  #continueTrack(line: FileLine, link: Link, marker: Marker): void {
    const track = this.#track as Track
    const { last } = track
    if (marker.missing !== undefined && marker.prev !== last.hash)
      track.doubts.push({ seq: marker.missing.last, hash: marker.prev })
    this.#follow(track, line, link)
    track.id = marker.chain
  }

  #chained(line: FileLine, link: Link): void {
    this.#settleOdd()
    if (this.#track === null) {
      // A file that was emptied while it was written to has no line of its own to begin with.
      const known = this.#tracks.find(
        track => track.last.seq + 1 === link.seq && this.#fits(track.last.hash, line, link),
      )
      if (known === undefined)
        this.#report(
          line.number,
          link.seq,
          'the file does not begin where Sluice opened it: its first lines are missing',
        )
      this.#track = known ?? this.#adopt(link)
      if (known === undefined) return
    }
    this.#follow(this.#track, line, link)
  }

  #adopt(link: Link): Track {
    const track: Track = { id: '', first: link.seq, last: link, doubts: [] }
    this.#tracks.push(track)
    return track
  }

  #follow(track: Track, line: FileLine, link: Link): void {
    const expected = track.last.seq + 1
    if (link.seq === expected && this.#fits(track.last.hash, line, link)) {
      this.#accept(track, link)
      return
    }
    const doubt = track.doubts.find(one => one.seq + 1 === link.seq && this.#fits(one.hash, line, link))
    if (doubt !== undefined) {
      this.#accept(track, link)
      return
    }
    this.#report(line.number, link.seq, describe(link.seq, expected))
    this.#doubt(track, line, link)
  }

  #accept(track: Track, link: Link): void {
    track.last = link
    if (track.doubts.length > 0) track.doubts = []
    const wanted = this.#wanted.size === 0 ? undefined : this.#wanted.get(link.hash)
    if (wanted?.seq === link.seq) wanted.seen = true
    const expected = this.#heads.get(track.id)
    if (expected !== undefined) for (const one of expected) if (one.head.seq === link.seq) one.seen = link.hash
  }

  /** The line may be changed (in its text, its number or its hash), moved, or not belong here at all. */
  #doubt(track: Track, line: FileLine, link: Link): void {
    const expected = track.last.seq + 1
    const computed = this.#hashers.map(hasher => hasher.digestOfLine(track.last.hash, line.bytes))
    const further: Candidate[] = [
      { seq: link.seq, hash: link.hash },
      { seq: expected, hash: link.hash },
      ...computed.map(one => ({ seq: expected, hash: one })),
      track.last,
    ]
    track.doubts = [...further, ...track.doubts].slice(0, MAX_DOUBTS)
    if (link.seq >= expected) track.last = link
    const heads = this.#heads.get(track.id)
    if (heads !== undefined) for (const one of heads) if (one.head.seq === link.seq) one.seen = link.hash
  }

  #fits(prev: string, line: FileLine, link: Link): boolean {
    return this.#hashers.some(hasher => hasher.digestOfLine(prev, line.bytes) === link.hash)
  }

  #keepOdd(line: FileLine): void {
    this.#odd = line
    // The batch it stands in may be gone when the next line comes.
    this.#oddBytes = Buffer.from(line.bytes)
  }

  #settleOdd(): void {
    if (this.#odd === null) return
    const { number } = this.#odd
    this.#odd = null
    if (this.#track === null) this.#plain++
    else this.#report(number, 0, 'the line has no place in the chain: it was inserted or damaged')
  }

  /** A line that was cut off when the process ended: the next one says so. */
  #judgeOdd({ torn }: Marker): void {
    const { number } = this.#odd as FileLine
    const bytes = this.#oddBytes as Buffer
    if (torn === undefined || torn.bytes !== bytes.length || torn.sha256 !== hash('sha256', bytes, 'hex')) {
      this.#settleOdd()
      return
    }
    this.#odd = null
    this.notes.push(`${this.#file}: line ${number} was cut off when the process ended; the line after it says so`)
  }

  #report(line: number, seq: number, text: string): void {
    this.#reportAt(this.#file, line, seq, text)
  }

  #reportAt(file: string, line: number, seq: number, text: string): void {
    this.problemCount++
    if (this.problems.length < MAX_PROBLEMS) this.problems.push({ file, line, seq, text })
  }
}

function describe(seq: number, expected: number): string {
  if (seq === expected) return 'the line, or the hash of the line before it, was changed'
  if (seq < expected) return `the line is a copy or out of order: expected seq ${expected}`
  const gone = seq - 1 === expected ? `${expected}` : `${expected} to ${seq - 1}`
  return `lines are missing, or this one was changed or moved: seq ${gone} should come first`
}

function markerOf(line: Buffer): Marker | null {
  const at = line.indexOf(CHAIN_MARK)
  if (at === -1 || at > MARK_WINDOW) return null
  try {
    const marker = JSON.parse(line.toString()) as Marker
    return typeof marker.prev === 'string' && typeof marker.chain === 'string' ? marker : null
  } catch {
    return null
  }
}
