import type { Clock, Direction } from '#api'
import { AllowList, Fingerprints } from './allow.ts'
import { Budget } from './budget.ts'
import { Actions } from './decide.ts'
import { type Finding, MessageScan, type Stream } from './message-scan.ts'
import type { Action, Options } from './options.ts'
import { PII_KINDS, Pii } from './pii.ts'
import { type Mark, Prefilter } from './prefilter.ts'
import type { Rule } from './rule.ts'
import { type ActiveRule, RuleIndex, StickyFinder } from './rule-index.ts'
import { ALL_RULES } from './rules/all.ts'
import { StringScan } from './string-scan.ts'
import { TextScanner } from './text-scanner.ts'

/** What one message holds. */
export interface Report {
  /** What is no finding by the policy is left out. */
  readonly findings: readonly Finding[]
  /** Why the scan was cut short; `''` = it was not. */
  readonly truncated: string
  /** How many patterns were tried. */
  readonly verifications: number
}

/** All that one chain entry looks for, made ready. */
export class SecretScanner {
  readonly actions: Actions
  readonly fingerprints: Fingerprints
  /** All rules that are on. */
  readonly rules: readonly Rule[]
  readonly #allow: AllowList
  readonly #prefilter: Prefilter
  readonly #strings: StringScan
  /** Whether some rule has no keyword, so that no message can be passed over. */
  readonly #everywhere: boolean
  readonly #numbers: boolean
  readonly #options: Options
  readonly #clock: Clock

  /** @throws Error that says which option is wrong */
  constructor(options: Options, fileRules: readonly ActiveRule[], clock: Clock) {
    const kinds = typeof options.pii === 'boolean' ? (options.pii ? PII_KINDS : []) : options.pii
    const pii = new Pii(kinds)
    const own = options.default_rules ? ALL_RULES.map(toActive) : []
    const all = [...own, ...fileRules]
    this.actions = new Actions([...all.map(({ rule }) => rule), ...pii.rules], options)
    const active = all.filter(({ rule }) => this.actions.isOn(rule))
    this.rules = [...active.map(({ rule }) => rule), ...pii.rules.filter(rule => this.actions.isOn(rule))]
    const index = new RuleIndex(active)
    this.fingerprints = new Fingerprints(options.fingerprint_key)
    this.#allow = new AllowList(options.allow, this.fingerprints, options.fingerprint_key !== undefined)
    this.#prefilter = new Prefilter(index)
    this.#strings = new StringScan(new TextScanner(index), kinds.length > 0 ? pii : null)
    this.#everywhere = kinds.length > 0 || index.everywhere.length > 0
    this.#numbers = kinds.includes('card')
    this.#options = options
    this.#clock = clock
  }

  /** Whether a message may hold anything. Cheap; no for nearly all. */
  suspects(json: Buffer): boolean {
    return this.#everywhere || this.#prefilter.suspects(json)
  }

  /** The same for a text that two messages hold together, as it stands in them. */
  suspectsText(text: Buffer): boolean {
    return this.#everywhere || this.#prefilter.suspectsText(text)
  }

  /** The same for a text in pieces: goes on over the next one. @returns the state to go on with */
  mark(state: number, bytes: Buffer, start: number, end: number, marks: Mark[]): number {
    return this.#prefilter.mark(state, bytes, start, end, marks)
  }

  /** Whether a secret could begin at one of the marks. */
  suspectsMarks(marks: readonly Mark[], bytes: Buffer, length: number): boolean {
    if (this.#everywhere) return true
    return marks.length > 0 && this.#prefilter.suspectsMarks(marks, bytes.subarray(0, length))
  }

  /** Looks into all strings of a message. @param name the tool, prompt or resource it is about */
  scan(json: Buffer, direction: Direction, name: string, stream: Stream | null): Report {
    const budget = new Budget(this.#options.max_verifications, this.#options.max_ms, this.#clock)
    const scan = new MessageScan(json, this.#strings, this.#prefilter, budget, {
      stream,
      everything: this.#everywhere,
      numbers: this.#numbers,
    })
    const findings = scan
      .run()
      .filter(
        ({ rule, value, place }) =>
          this.actions.of(rule, direction) !== 'off' && !this.#allow.allows(rule, value, place, name),
      )
    const { exhausted: truncated, verifications } = budget
    return { findings, truncated, verifications }
  }

  actionOf(finding: Finding, direction: Direction): Action {
    return this.actions.of(finding.rule, direction)
  }
}

function toActive(rule: Rule): ActiveRule {
  return { rule, finder: new StickyFinder(rule), accepts: null }
}
