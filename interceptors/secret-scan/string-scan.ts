import type { Budget } from './budget.ts'
import { type Decoded, type EncodedRun, encodedRuns, percentDecoded, unescapedLevels } from './decode.ts'
import type { Pii } from './pii.ts'
import type { Hit, TextScanner } from './text-scanner.ts'

/** A secret in a string, by its place in that string. */
export interface StringHit extends Hit {
  /** The base64 around it: then `start` and `end` are its range, and `inner` is the secret in what it stands for. */
  readonly run: EncodedRun | null
  readonly innerStart: number
  readonly innerEnd: number
}

/** How much of a value is read together with its key. */
const MAX_PAIRED = 4096

/** Looks for secrets in one decoded string: as it is, as the value of its key, and one level deeper. */
export class StringScan {
  readonly #scanner: TextScanner
  readonly #pii: Pii | null

  constructor(scanner: TextScanner, pii: Pii | null) {
    this.#scanner = scanner
    this.#pii = pii
  }

  /** @param name of the value: its key, or what stands beside it as its name; `''` = nothing that matters */
  hits(value: string, name: string, budget: Budget): StringHit[] {
    const hits = this.#scanner.scan(value, budget).map(plain)
    if (this.#pii !== null) for (const hit of this.#pii.scan(value)) add(hits, plain(hit))
    if (name !== '') this.#paired(value, name, budget, hits)
    const levels = unescapedLevels(value)
    for (const level of levels) this.#decoded(level, budget, hits)
    this.#url({ text: value, sources: positions => [...positions] }, budget, hits)
    const innermost = levels.at(-1)
    if (innermost !== undefined) this.#url(innermost, budget, hits)
    this.#encoded(value, budget, hits)
    return resolve(hits)
  }

  /** Hits without looking deeper, for texts that are joined for the purpose. */
  plainHits(text: string, budget: Budget): StringHit[] {
    return resolve(this.#scanner.scan(text, budget).map(plain))
  }

  #paired(value: string, name: string, budget: Budget, hits: StringHit[]): void {
    const shift = name.length + 3
    const text = `${name}":"${value.length > MAX_PAIRED ? value.slice(0, MAX_PAIRED) : value}`
    for (const hit of this.#scanner.scan(text, budget, name.length)) {
      if (hit.start < shift) continue
      add(hits, plain({ ...hit, start: hit.start - shift, end: hit.end - shift }))
    }
  }

  #decoded(decoded: Decoded, budget: Budget, hits: StringHit[]): void {
    const found = this.#scanner.scan(decoded.text, budget)
    if (found.length === 0) return
    const positions = [...new Set(found.flatMap(hit => [hit.start, hit.end]))].sort((a, b) => a - b)
    const sources = decoded.sources(positions)
    const bySource = new Map(positions.map((position, i) => [position, sources[i] as number]))
    const source = (position: number): number => bySource.get(position) ?? 0
    for (const hit of found) add(hits, plain({ ...hit, start: source(hit.start), end: source(hit.end) }))
  }

  /** URLs, also those in JSON in a string, where a slash is `\/`. */
  #url(outer: Decoded, budget: Budget, hits: StringHit[]): void {
    const url = percentDecoded(outer.text)
    if (url === null) return
    this.#decoded({ text: url.text, sources: positions => outer.sources(url.sources(positions)) }, budget, hits)
  }

  #encoded(value: string, budget: Budget, hits: StringHit[]): void {
    for (const run of encodedRuns(value)) {
      for (const hit of this.#scanner.scan(run.decoded, budget)) {
        hits.push({ ...hit, start: run.start, end: run.end, run, innerStart: hit.start, innerEnd: hit.end })
      }
    }
  }
}

function plain(hit: Hit): StringHit {
  return { ...hit, run: null, innerStart: 0, innerEnd: 0 }
}

function overlap(a: Hit, b: Hit): boolean {
  return a.start < b.end && b.start < a.end
}

/** Adds a hit unless the same rule found the same before. */
function add(hits: StringHit[], hit: StringHit): void {
  if (!hits.some(other => other.rule === hit.rule && overlap(other, hit))) hits.push(hit)
}

/** A rule that goes by the name alone gives way to one that knows the format, and to one of its kind that came before. */
function resolve(hits: StringHit[]): StringHit[] {
  if (hits.length < 2) return hits
  const kept = hits.filter(hit => !hit.rule.generic)
  for (const hit of hits) {
    if (hit.rule.generic && !kept.some(other => overlap(other, hit))) kept.push(hit)
  }
  return kept.sort((a, b) => a.start - b.start)
}
