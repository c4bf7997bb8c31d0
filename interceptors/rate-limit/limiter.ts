import {
  type Count,
  type Environment,
  type Exchange,
  type Grant,
  type Hold,
  type MaybeAsync,
  type Message,
  type Outcome,
  SluiceError,
  type Store,
  type Verdict,
} from '#api'
import { crowded, exceeded, uncounted } from './refusal.ts'
import type { Rule } from './rule.ts'
import type { Usage } from './usage.ts'

type Said = Verdict | undefined
type Pending = Grant | Hold | null

/** Keeps the rules, one after the other; without a promise as long as the store answers without one. */
export class Limiter {
  readonly #rules: readonly Rule[]
  readonly #store: Store
  readonly #refused: Count
  readonly #local: Count

  constructor(rules: readonly Rule[], environment: Environment) {
    this.#rules = rules
    this.#store = environment.store
    this.#refused = environment.counter('rate_limited_total', 'Requests refused by a rate limit.', ['server', 'rule'])
    this.#local = environment.counter(
      'rate_limit_local_total',
      'Limits that this process kept on its own, because the store could not be reached.',
    )
  }

  request(message: Message, exchange: Exchange, usage: Usage): MaybeAsync<Said> {
    return this.#from(0, message, exchange, usage)
  }

  /** The answer is paid for by its size; what never reached the client, or is our own refusal, costs nothing. */
  end(outcome: Outcome, usage: Usage): void {
    usage.end()
    if (outcome.status === 'denied') return
    const { debts } = usage
    for (let i = 0; i < debts.length; i += 2) {
      const rule = debts[i] as Rule
      const cost = rule.cost(outcome.bytesToClient)
      if (cost > 0) this.#store.spend(debts[i + 1] as string, cost, rule.quota)
    }
  }

  #from(first: number, message: Message, exchange: Exchange, usage: Usage): MaybeAsync<Said> {
    const client = exchange.principal.id
    for (let i = first; i < this.#rules.length; i++) {
      const rule = this.#rules[i] as Rule
      if (!rule.fits(message, client)) continue
      const key = rule.key.of(message, exchange)
      const pending = this.#ask(rule, key)
      if (pending instanceof Promise) {
        return pending.then(
          answer => this.#heard(rule, key, answer, exchange, usage) ?? this.#from(i + 1, message, exchange, usage),
          error => this.#silent(error, exchange, usage),
        )
      }
      const verdict = this.#heard(rule, key, pending, exchange, usage)
      if (verdict !== undefined) return verdict
    }
    return undefined
  }

  #ask(rule: Rule, key: string): MaybeAsync<Pending> {
    if (rule.what === 'concurrent') return this.#store.hold(key, rule.quota.limit, rule.quota.whenDown)
    return this.#store.take(key, rule.what === 'requests' ? 1 : 0, rule.quota)
  }

  #heard(rule: Rule, key: string, answer: Pending, exchange: Exchange, usage: Usage): Said {
    if (answer === null) return this.#refuse(rule, crowded(rule), exchange, usage)
    if ('release' in answer) {
      usage.keep(answer)
      return undefined
    }
    if (answer.local) this.#local(1)
    if (!answer.granted) return this.#refuse(rule, exceeded(rule, answer), exchange, usage)
    if (rule.what === 'requests') usage.taken.push(rule, key)
    else usage.debts.push(rule, key)
    return undefined
  }

  /** What the rules before it took was for nothing. */
  #refuse(rule: Rule, verdict: Verdict, exchange: Exchange, usage: Usage): Verdict {
    this.#undo(usage)
    this.#refused(1, exchange.server, rule.name)
    exchange.note('rate_limit', rule.name)
    return verdict
  }

  #undo(usage: Usage): void {
    const { taken } = usage
    for (let i = 0; i < taken.length; i += 2) {
      this.#store.spend(taken[i + 1] as string, -1, (taken[i] as Rule).quota)
    }
    taken.length = 0
    usage.debts.length = 0
  }

  #silent(error: unknown, exchange: Exchange, usage: Usage): Verdict {
    if (!(error instanceof SluiceError) || error.code !== 'store_unreachable') throw error
    this.#undo(usage)
    exchange.note('rate_limit', 'store_unreachable')
    return uncounted()
  }
}
