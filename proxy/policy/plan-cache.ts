import type { Plan } from './plan.ts'

/** Longer keys are not remembered, so that a peer cannot fill memory with them. In UTF-16 units. */
const MAX_KEY_LENGTH = 512

/** Remembers plans by name or client. Those not used for two turns of the budget are forgotten. */
export class PlanCache {
  #young = new Map<string, Plan>()
  #old = new Map<string, Plan>()
  readonly #budget: PlanCaches

  constructor(budget: PlanCaches) {
    this.#budget = budget
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  get(key: string): Plan | undefined {
    const plan = this.#young.get(key)
    if (plan !== undefined || this.#old.size === 0) return plan
    const old = this.#old.get(key)
    if (old === undefined) return undefined
    this.#old.delete(key)
    return this.set(key, old)
  }

  set(key: string, plan: Plan): Plan {
    if (key.length > MAX_KEY_LENGTH) return plan
    this.#young.set(key, plan)
    this.#budget.spend()
    return plan
  }

  turn(): void {
    this.#old = this.#young
    this.#young = new Map()
  }
}

/** All caches of one table: together they hold no more than `max` plans. */
export class PlanCaches {
  readonly #caches: PlanCache[] = []
  readonly #half: number
  #spent = 0

  constructor(max: number) {
    this.#half = Math.max(1, Math.floor(max / 2))
  }

  get size(): number {
    return this.#caches.reduce((sum, cache) => sum + cache.size, 0)
  }

  create(): PlanCache {
    const cache = new PlanCache(this)
    this.#caches.push(cache)
    return cache
  }

  /** Counts one plan in; when half of the budget is spent, all caches turn. */
  spend(): void {
    this.#spent++
    if (this.#spent < this.#half) return
    this.#spent = 0
    for (const cache of this.#caches) cache.turn()
  }
}
