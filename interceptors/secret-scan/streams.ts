import type { Message } from '#api'
import { JsonStrings } from './json-strings.ts'
import type { Mark } from './prefilter.ts'
import type { SecretScanner } from './scanner.ts'

/** Of a stream's text, bytes that are kept to be read together with what follows. */
const KEPT_BYTES = 4096
const MAX_STREAMS = 16

/** Of what is kept, bytes that every further piece is looked over with; and of that piece, how many. */
const JOIN_BEFORE = 512
const JOIN_AFTER = 640

/** Where log messages that are objects carry their text, the likeliest first. */
const TEXT_KEYS = ['text', 'message', 'msg', 'content', 'delta']

const PROGRESS_TEXT = ['params', 'message']
const LOG_TEXT = ['params', 'data']
const LOG_TEXTS = TEXT_KEYS.map(key => ['params', 'data', key])

/** The text that a notification carries as a piece of a stream. */
export interface Piece {
  readonly tail: Tail
  readonly path: readonly string[]
  /** Its range in the message, without the quotes. */
  readonly start: number
  readonly end: number
}

/**
 * The ends of the texts that progress and log notifications of one exchange carry in pieces, so that a secret split over some of
 * them is found in the last one. Kept are 4096 bytes of each stream, of the 16 streams that came last.
 */
export class Streams {
  readonly #tails: Map<string, Tail>
  #lastKey: string
  #last: Tail | null

  constructor() {
    this.#tails = new Map()
    this.#lastKey = ''
    this.#last = null
  }

  /** The piece in a notification; `null` where it carries none. */
  pieceOf(message: Message, bytes: Buffer): Piece | null {
    const isProgress = message.method === 'notifications/progress'
    if (!isProgress && message.method !== 'notifications/message') return null
    const found = new TextFinder(bytes, isProgress)
    if (found.path === null) return null
    const key = `${isProgress ? 'progress' : 'log'} ${found.path.at(-1)} ${found.name}`
    return { tail: this.#tailOf(key), path: found.path, start: found.start, end: found.end }
  }

  #tailOf(key: string): Tail {
    if (key === this.#lastKey && this.#last !== null) return this.#last
    const tail = this.#tails.get(key) ?? new Tail()
    this.#tails.delete(key)
    this.#tails.set(key, tail)
    const [oldest] = this.#tails.keys()
    if (this.#tails.size > MAX_STREAMS && oldest !== undefined) this.#tails.delete(oldest)
    this.#lastKey = key
    this.#last = tail
    return tail
  }
}

/** Finds the text of a progress or log notification, and the name of its stream, in one pass over the bytes. */
class TextFinder {
  /** The last one, as `JSON.parse` has it, should there be several of one path; `null` = there is none. */
  path: readonly string[] | null
  start: number
  end: number
  name: string

  constructor(bytes: Buffer, isProgress: boolean) {
    this.path = null
    this.start = 0
    this.end = 0
    this.name = ''
    const strings = new JsonStrings(bytes)
    while (strings.next()) {
      if (strings.kind === 'key' || strings.depth < 2 || strings.depth > 3) continue
      if (strings.isAt(NAMES[isProgress ? 0 : 1] as string[])) this.name = `${strings.kind} ${strings.text()}`
      else if (strings.kind === 'string') this.#string(strings, isProgress)
    }
  }

  #string(strings: JsonStrings, isProgress: boolean): void {
    if (isProgress) this.#take(strings, PROGRESS_TEXT)
    else if (strings.depth === 2) this.#take(strings, LOG_TEXT)
    else for (const path of LOG_TEXTS) if (this.#take(strings, path)) return
  }

  #take(strings: JsonStrings, path: readonly string[]): boolean {
    if (!strings.isAt(path)) return false
    const likelier = this.path === null ? -1 : LOG_TEXTS.indexOf(this.path as string[])
    if (likelier !== -1 && likelier < LOG_TEXTS.indexOf(path as string[])) return true
    this.path = path
    this.start = strings.start + 1
    this.end = strings.end - 1
    return true
  }
}

const NAMES = [
  ['params', 'progressToken'],
  ['params', 'logger'],
]

/** What came last of one stream, as it stands in the messages: with the escapes of JSON. */
export class Tail {
  #bytes: Buffer
  #length: number
  /** How many of the bytes are those of the piece at hand. */
  #last: number
  /** Where the automaton of the keywords is, and the marks that it has set in the bytes that count. */
  #state: number
  readonly #marks: Mark[]
  /** While above 0, what is kept may hold the beginning of a secret: so many bytes more may belong to it. */
  #doubt: number

  constructor() {
    this.#bytes = EMPTY
    this.#length = 0
    this.#last = 0
    this.#state = 0
    this.#marks = []
    this.#doubt = 0
  }

  /** Takes in a piece. @returns whether it may hold, together with what came before it, a secret that it does not hold alone */
  take(bytes: Buffer, start: number, end: number, scanner: SecretScanner): boolean {
    const size = end - start
    const joins = this.#length > 0 && size > 0
    const isLong = size > JOIN_AFTER
    const joinsLong = joins && isLong && this.#joinsBeginning(bytes.subarray(start, start + JOIN_AFTER), scanner)
    this.#append(bytes, Math.max(start, end - KEPT_BYTES), end)
    if (isLong) this.#lookAnew(scanner)
    else this.#lookOn(scanner)
    if (!joins || this.#doubt > 0) return joins
    return isLong ? joinsLong : scanner.suspectsMarks(this.#marks, this.#bytes, this.#length)
  }

  /** @param doubtful whether the last piece, or it and what came before, could have held a secret */
  note(doubtful: boolean): void {
    this.#doubt = doubtful ? KEPT_BYTES : Math.max(0, this.#doubt - this.#last)
  }

  /** What came before the last piece, decoded. */
  before(): string {
    const end = this.#length - this.#last
    const kept = this.#bytes.subarray(Math.max(0, end - KEPT_BYTES), end)
    // It may begin in the middle of an escape.
    for (let from = 0; from < Math.min(kept.length, MAX_ESCAPE); from++) {
      const text = decoded(kept.toString('utf8', from))
      if (text !== null) return text
    }
    return ''
  }

  #append(bytes: Buffer, start: number, end: number): void {
    this.#last = end - start
    this.#makeRoom(this.#last)
    bytes.copy(this.#bytes, this.#length, start, end)
    this.#length += this.#last
  }

  /** Goes on with the automaton where it stopped; marks of what is too far back are forgotten. */
  #lookOn(scanner: SecretScanner): void {
    const from = this.#length - this.#last
    const marks = this.#marks
    let old = 0
    while (old < marks.length && (marks[old] as Mark).at < from - JOIN_BEFORE) old++
    if (old > 0) marks.splice(0, old)
    this.#state = scanner.mark(this.#state, this.#bytes, from, this.#length, marks)
  }

  #lookAnew(scanner: SecretScanner): void {
    this.#marks.length = 0
    this.#state = scanner.mark(0, this.#bytes, Math.max(0, this.#length - 2 * JOIN_BEFORE), this.#length, this.#marks)
  }

  #joinsBeginning(beginning: Buffer, scanner: SecretScanner): boolean {
    const before = this.#bytes.subarray(Math.max(0, this.#length - JOIN_BEFORE), this.#length)
    return scanner.suspectsText(Buffer.concat([before, beginning]))
  }

  /** Room for `more` bytes; of the others, only those that count stay. */
  #makeRoom(more: number): void {
    if (this.#length + more <= this.#bytes.length) return
    const kept = Math.min(this.#length, KEPT_BYTES)
    const wanted = Math.max(FIRST_BYTES, 2 * (kept + more))
    const target = wanted > this.#bytes.length ? Buffer.allocUnsafeSlow(wanted) : this.#bytes
    const gone = this.#length - kept
    this.#bytes.copy(target, 0, gone, this.#length)
    this.#bytes = target
    this.#length = kept
    for (const mark of this.#marks) mark.at -= gone
  }
}

const EMPTY = Buffer.alloc(0)
const FIRST_BYTES = 1024
/** `\ud83d\ude00` */
const MAX_ESCAPE = 12

function decoded(raw: string): string | null {
  try {
    return JSON.parse(`"${raw}"`) as string
  } catch {
    return null
  }
}
