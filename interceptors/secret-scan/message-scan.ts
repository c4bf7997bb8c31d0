import type { Budget } from './budget.ts'
import { JsonStrings, type Path } from './json-strings.ts'
import { isFixed, isOpaque, placeOf } from './place.ts'
import type { Prefilter } from './prefilter.ts'
import { MAX_BESIDE } from './raw-tests.ts'
import type { Rule } from './rule.ts'
import type { StringHit, StringScan } from './string-scan.ts'

/** A key, string or number of the message that holds secrets. */
export interface Holder {
  readonly kind: JsonStrings['kind']
  /** Its range in the message's bytes; that of a string with its quotes. */
  readonly start: number
  readonly end: number
  readonly value: string
  readonly path: Path
  readonly place: string
  /** Whether the protocol needs it as it is. */
  readonly fixed: boolean
}

/** A part of a holder's text that belongs to a secret. */
export interface Cut {
  readonly holder: Holder
  readonly start: number
  readonly end: number
  /** The hit, where the secret is in base64. */
  readonly encoded: StringHit | null
  /** Whether a marker stands for this part; the further parts of a secret that was split just vanish. */
  readonly marked: boolean
}

/** One secret in a message. */
export interface Finding {
  readonly rule: Rule
  /** Never to leave the interceptor. */
  readonly value: string
  readonly place: string
  readonly cuts: readonly Cut[]
}

/** A text that goes on from message to message, and what came before. */
export interface Stream {
  readonly path: Path
  readonly before: string
}

/** Findings of one message beyond this number are not looked for. */
const MAX_FINDINGS = 10_000
/** Of a string, with its quotes. */
const MIN_LENGTH = 8
/** Of a value that could be a secret by its name. */
const MIN_NAMED = 10
/** Of a key that could be a secret itself, with its quotes. */
const MIN_KEY = 18
/** Of a number that could be that of a card. */
const MIN_NUMBER = 13
/** Of a key, or a name, that says something about a value. */
const MAX_NAME = 128
/** The same with quotes, and each character escaped. */
const MAX_RAW_NAME = MAX_NAME * 6 + 2
/** Shorter values are not searched for elsewhere: they could be words. */
const MIN_COPY = 10
const MAX_COPIED = 16

export interface ScanSettings {
  /** The stream this message carries a piece of; `null` = none. */
  readonly stream: Stream | null
  /** Whether strings without keywords are looked into too. */
  readonly everything: boolean
  /** Whether numbers are. */
  readonly numbers: boolean
}

/** Goes over one message and looks into those of its strings that could hold a secret. */
export class MessageScan {
  readonly findings: Finding[]
  readonly #bytes: Buffer
  readonly #strings: JsonStrings
  readonly #scan: StringScan
  readonly #prefilter: Prefilter
  readonly #budget: Budget
  readonly #settings: ScanSettings
  readonly #texts: Texts
  /** Whether the last key says something about its value. */
  #telling: boolean
  /** The name beside the value to come, as in `{"name": "DB_PASSWORD", "value": …}`, and the object they are in. */
  #name: string
  #nameIn: number
  #nameEnd: number

  constructor(bytes: Buffer, scan: StringScan, prefilter: Prefilter, budget: Budget, settings: ScanSettings) {
    this.findings = []
    this.#bytes = bytes
    this.#strings = new JsonStrings(bytes)
    this.#scan = scan
    this.#prefilter = prefilter
    this.#budget = budget
    this.#settings = settings
    this.#texts = new Texts()
    this.#telling = false
    this.#name = ''
    this.#nameIn = -1
    this.#nameEnd = 0
  }

  run(): readonly Finding[] {
    const strings = this.#strings
    while (strings.next() && this.#budget.exhausted === '') {
      const length = strings.end - strings.start
      if (strings.kind === 'key') this.#key(length)
      else if (strings.kind === 'string') this.#value(length)
      else if (this.#settings.numbers && length >= MIN_NUMBER) this.#hits('')
    }
    this.#joined()
    if (this.findings.length > 0) this.#copies()
    return this.findings
  }

  #key(length: number): void {
    const { start, end } = this.#strings
    this.#telling = length <= MAX_RAW_NAME && this.#prefilter.hasKeyword(this.#bytes, start, end)
    if (length >= MIN_KEY && this.#suspicious() && this.#strings.text().length >= MIN_KEY - 2) this.#hits('')
  }

  #value(length: number): void {
    const strings = this.#strings
    if (strings.isUnder('text')) this.#texts.add(strings)
    if (length >= MIN_LENGTH) {
      const isNear = strings.start - this.#nameEnd <= MAX_BESIDE
      const named = isNear && this.#nameIn === strings.container() && strings.isUnder('value')
      const name = length < MIN_NAMED ? '' : named ? this.#name : this.#telling ? nameOf(strings.key()) : ''
      if (name !== '' || this.#suspicious()) this.#hits(name)
    }
    this.#nameIn = -1
    this.#telling = false
    if (length <= MAX_RAW_NAME && (strings.isUnder('name') || strings.isUnder('key'))) this.#remember()
    const { stream } = this.#settings
    if (stream !== null && samePath(strings.path(), stream.path)) this.#streamed(stream.before)
  }

  #remember(): void {
    const { start, end } = this.#strings
    if (!this.#prefilter.hasKeyword(this.#bytes, start, end)) return
    this.#name = nameOf(this.#strings.text())
    this.#nameEnd = end
    this.#nameIn = this.#strings.container()
  }

  #suspicious(): boolean {
    const { start, end } = this.#strings
    return this.#settings.everything || this.#prefilter.suspectsRange(this.#bytes, start, end)
  }

  #hits(name: string): void {
    if (!this.#budget.goesOn()) return
    const value = this.#strings.text()
    const hits = this.#scan.hits(value, name, this.#budget)
    if (hits.length === 0) return
    const holder = this.#holder(value)
    const opaque = isOpaque(holder.path)
    for (const hit of hits) {
      if (hit.rule.generic && opaque) continue
      const { start, end, run } = hit
      this.#add(hit.rule, hit.value, holder, [{ holder, start, end, encoded: run === null ? null : hit, marked: true }])
    }
  }

  #add(rule: Rule, value: string, { place }: Holder, cuts: readonly Cut[]): void {
    if (this.findings.length >= MAX_FINDINGS) this.#budget.stop(`more than ${MAX_FINDINGS} findings`)
    else this.findings.push({ rule, value, place, cuts })
  }

  #holder(value: string): Holder {
    const { kind, start, end } = this.#strings
    return this.#holderOf(kind, start, end, value, this.#strings.path())
  }

  #holderOf(kind: Holder['kind'], start: number, end: number, value: string, path: Path): Holder {
    const hides = (key: string): boolean =>
      key.length >= MIN_KEY - 2 && this.#scan.hits(key, '', this.#budget).length > 0
    return { kind, start, end, value, path, place: placeOf(path, hides), fixed: isFixed(path) }
  }

  /** Secrets that began in a message before and end in this one. */
  #streamed(before: string): void {
    if (before === '') return
    const value = this.#strings.text()
    for (const hit of this.#scan.plainHits(before + value, this.#budget)) {
      if (hit.start >= before.length || hit.end <= before.length) continue
      const holder = this.#holder(value)
      const end = hit.end - before.length
      this.#add(hit.rule, hit.value, holder, [{ holder, start: 0, end, encoded: null, marked: true }])
    }
  }

  /** Further places of the values that were found: results repeat as text what they hold as structure. */
  #copies(): void {
    const known = new Map<string, Rule>()
    for (const { value, rule } of this.findings) {
      if (value.length >= MIN_COPY && known.size < MAX_COPIED) known.set(value, known.get(value) ?? rule)
    }
    const cuts = Map.groupBy(
      this.findings.flatMap(finding => finding.cuts),
      cut => cut.holder.start,
    )
    const strings = new JsonStrings(this.#bytes)
    while (known.size > 0 && strings.next()) {
      if (strings.end - strings.start < MIN_COPY) continue
      const text = strings.text()
      for (const [value, rule] of known) this.#copiesIn(strings, text, value, rule, cuts.get(strings.start) ?? [])
    }
  }

  #copiesIn(strings: JsonStrings, text: string, value: string, rule: Rule, cuts: readonly Cut[]): void {
    for (let at = text.indexOf(value); at !== -1; at = text.indexOf(value, at + value.length)) {
      const end = at + value.length
      if (cuts.some(cut => cut.start < end && at < cut.end)) continue
      const holder = this.#holderOf(strings.kind, strings.start, strings.end, text, strings.path())
      this.#add(rule, value, holder, [{ holder, start: at, end, encoded: null, marked: true }])
    }
  }

  /** Secrets that begin in one text and end in one that follows it. */
  #joined(): void {
    for (const group of this.#texts.groups) {
      if (group.length < 2 || this.#budget.exhausted !== '') continue
      const texts = group.map(({ start, end, path }) => {
        const value = JSON.parse(this.#bytes.toString('utf8', start, end)) as string
        return this.#holderOf('string', start, end, value, path)
      })
      const starts: number[] = []
      let joined = ''
      for (const { value } of texts) {
        starts.push(joined.length)
        joined += value
      }
      for (const hit of this.#scan.plainHits(joined, this.#budget)) {
        const cuts = cutsOf(hit, texts, starts)
        const [first] = cuts
        // What stands in one text alone was found there, unless its name stands in the one before.
        if (first !== undefined && (cuts.length > 1 || !this.#isKnown(first))) {
          this.#add(hit.rule, hit.value, first.holder, cuts)
        }
      }
    }
  }

  #isKnown({ holder, start, end }: Cut): boolean {
    return this.findings.some(({ cuts }) =>
      cuts.some(cut => cut.holder.start === holder.start && cut.start < end && start < cut.end),
    )
  }
}

function nameOf(text: string): string {
  return text.length <= MAX_NAME ? text : ''
}

function cutsOf(hit: StringHit, texts: readonly Holder[], starts: readonly number[]): Cut[] {
  const cuts: Cut[] = []
  for (let i = 0; i < texts.length; i++) {
    const holder = texts[i] as Holder
    const start = Math.max(hit.start - (starts[i] as number), 0)
    const end = Math.min(hit.end - (starts[i] as number), holder.value.length)
    if (start < end) cuts.push({ holder, start, end, encoded: null, marked: cuts.length === 0 })
  }
  return cuts
}

function samePath(a: Path, b: Path): boolean {
  return a.length === b.length && a.every((part, i) => part === b[i])
}

/** A text of a content block, by its place in the message. */
interface Text {
  readonly start: number
  readonly end: number
  readonly path: Path
}

/** Texts of content blocks that follow each other in one list. */
class Texts {
  readonly groups: Text[][]
  #list: Path
  #index: number

  constructor() {
    this.groups = []
    this.#list = []
    this.#index = -2
  }

  add(strings: JsonStrings): void {
    const path = strings.path()
    const depth = path.findLastIndex(part => typeof part === 'number')
    if (depth < 0) return
    const list = path.slice(0, depth)
    const index = path[depth] as number
    const text = { start: strings.start, end: strings.end, path }
    if (index - this.#index <= 1 && samePath(list, this.#list)) this.groups.at(-1)?.push(text)
    else this.groups.push([text])
    this.#list = list
    this.#index = index
  }
}
