import type { JsonObject } from '../../api/index.ts'
import type { Change } from '../../shadow/compare.ts'
import type { Recording } from '../../shadow/recording.ts'

/** Examples named of each kind of change. */
const MAX_EXAMPLES = 5

/** Changes of one kind: the same entry does the same to the same tool. */
export interface Finding {
  readonly entry: string
  /** `SERVER.TOOL`; for other methods `SERVER METHOD`. */
  readonly tool: string
  readonly change: string
  readonly code: string
  count: number
  /** Lines of the corpus; the first ones. */
  readonly lines: number[]
  /** Where the JSON differs, of the first one. */
  readonly paths: readonly string[]
}

/** What a replay has found. */
export class Findings {
  exchanges = 0
  /** Exchanges in which something certain would change. */
  changed = 0
  /** Exchanges that come out otherwise, but on redacted values. */
  undecided = 0
  /** Exchanges with redacted values that some entry reads. */
  uncertain = 0
  readonly changes = new Map<string, Finding>()
  readonly guesses = new Map<string, Finding>()
  /** Why exchanges were not compared, and how many. */
  readonly skipped = new Map<string, number>()
  /** How many exchanges with redacted values each entry reads. */
  readonly readers = new Map<string, number>()

  /** @param isCertain whether it does not depend on values that were taken out */
  add(change: Change, recording: Recording, line: number, isCertain: boolean): void {
    const { what, code, entries, paths } = change
    const tool = toolOf(recording)
    for (const entry of entries.length === 0 ? [''] : entries) {
      const into = isCertain ? this.changes : this.guesses
      const key = JSON.stringify([entry, tool, what, code])
      const finding = into.get(key) ?? { entry, tool, change: what, code, count: 0, lines: [], paths }
      into.set(key, finding)
      finding.count++
      if (finding.lines.length < MAX_EXAMPLES) finding.lines.push(line)
    }
  }

  skip(why: string): void {
    this.skipped.set(why, (this.skipped.get(why) ?? 0) + 1)
  }

  reads(entries: readonly string[]): void {
    if (entries.length > 0) this.uncertain++
    for (const entry of entries) this.readers.set(entry, (this.readers.get(entry) ?? 0) + 1)
  }

  json(unexpected: readonly Finding[]): JsonObject {
    const of = (findings: Iterable<Finding>): JsonObject[] =>
      [...findings].map(finding => ({
        ...finding,
        paths: [...finding.paths],
        lines: [...finding.lines],
        expected: !unexpected.includes(finding),
      }))
    return {
      exchanges: this.exchanges,
      changed: this.changed,
      undecided: this.undecided,
      uncertain: this.uncertain,
      changes: of(this.changes.values()),
      undecided_changes: of(this.guesses.values()),
      not_compared: Object.fromEntries(this.skipped),
      readers_of_redacted_values: Object.fromEntries(this.readers),
    }
  }
}

function toolOf({ server, method, name }: Recording): string {
  return name === '' || method !== 'tools/call'
    ? `${server} ${method}${name === '' ? '' : ` ${name}`}`
    : `${server}.${name}`
}
