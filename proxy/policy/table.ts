import { applied, buildPlan, EMPTY_PLAN, planKey } from './build-plan.ts'
import type { ChainEntry, DirectedStep } from './chain-entry.ts'
import { closeEntries } from './entry-life.ts'
import { METHODS, STREAM_METHOD } from './methods.ts'
import type { Plan, PlanTable, Step } from './plan.ts'
import { type PlanCache, PlanCaches } from './plan-cache.ts'

/** The most plans that are remembered by name or client; beyond it, those not used lately are forgotten. */
export const MAX_CACHED_PLANS = 10_000

/** Distinct plans that are shared between names. */
const MAX_SHARED_PLANS = 1000

const NO_STEPS: readonly Step[] = Object.freeze([])

/** What is known about one (server, method). */
interface MethodPlans {
  /** The plan, where neither name nor client matters. */
  readonly plan: Plan | null
  readonly byName: boolean
  readonly byClient: boolean
  readonly cache: PlanCache
}

export interface TableOptions {
  readonly generation: number
  /** Configured servers: only for these are plans kept by method. */
  readonly servers: readonly string[]
  /** In file order; the slot of each is its position. */
  readonly entries: readonly ChainEntry[]
  /** Default `MAX_CACHED_PLANS`. */
  readonly maxCachedPlans?: number
}

/** The plans of one compiled policy. */
export class PolicyTable implements PlanTable {
  readonly generation: number
  readonly slots: number
  readonly entries: readonly string[]
  readonly #chain: readonly ChainEntry[]
  /** Those that look at what servers send on their own. */
  readonly #listeners: readonly ChainEntry[]
  /** By server, then by known method; filled when first asked. Bounded: names of strangers never get in. */
  readonly #plans: ReadonlyMap<string, Map<string, MethodPlans>>
  readonly #methods: ReadonlySet<string>
  readonly #caches: PlanCaches
  readonly #strangers: PlanCache
  readonly #shared = new Map<string, Plan>()
  #users = 0
  #replaced = false
  readonly #closed = Promise.withResolvers<void>()

  constructor(options: TableOptions) {
    this.generation = options.generation
    this.slots = options.entries.length
    this.entries = Object.freeze(options.entries.map(entry => entry.name))
    this.#chain = options.entries
    this.#listeners = options.entries.filter(
      ({ steps }) => hearsServer(steps.request) || hearsServer(steps.notification),
    )
    this.#plans = new Map(options.servers.map(server => [server, new Map()]))
    this.#methods = knownMethods(options.entries)
    this.#caches = new PlanCaches(options.maxCachedPlans ?? MAX_CACHED_PLANS)
    this.#strangers = this.#caches.create()
  }

  /** How many plans are remembered by name or client now; for tests. */
  get cachedPlans(): number {
    return this.#caches.size
  }

  find(server: string, method: string, name: string, client: string): Plan {
    if (this.slots === 0) return EMPTY_PLAN
    const plans = this.#plans.get(server)?.get(method) ?? this.#learn(server, method)
    if (plans === null) return this.#findStranger(server, method, name, client)
    return plans.plan ?? this.#narrow(plans, server, method, name, client)
  }

  rechecks(server: string, method: string, name: string, client: string): readonly Step[] {
    return this.find(server, method, name, client).toServer.request?.steps.filter(step => step.recheck) ?? NO_STEPS
  }

  looksAtStreams(server: string, client: string): boolean {
    for (const { matcher } of this.#listeners) {
      if (matcher.server.fits(server) && matcher.client.fits(client)) return true
    }
    return false
  }

  retain(): void {
    this.#users++
  }

  release(): void {
    this.#users--
    if (this.#users === 0 && this.#replaced) this.#close()
  }

  /**
   * Says that no new exchange will begin with this table. Resolves when its last exchange has ended and every entry
   * is closed; never rejects.
   */
  replace(): Promise<void> {
    if (!this.#replaced) {
      this.#replaced = true
      if (this.#users === 0) this.#close()
    }
    return this.#closed.promise
  }

  #close(): void {
    closeEntries(this.#chain).then(this.#closed.resolve)
  }

  /** @returns `null` for a server or method that nobody knows: what strangers say is not kept here */
  #learn(server: string, method: string): MethodPlans | null {
    const byMethod = this.#plans.get(server)
    if (byMethod === undefined || !this.#methods.has(method)) return null
    const possible = this.#chain.filter(({ matcher, steps }) => {
      if (!matcher.server.fits(server)) return false
      return method === STREAM_METHOD || matcher.fitsMethod(method) || meetsAlways(steps, method)
    })
    const byName = possible.some(entry => !entry.matcher.name.any)
    const byClient = possible.some(entry => !entry.matcher.client.any)
    const plan = byName || byClient ? null : this.#compute(server, method, '', '')
    const plans = { plan, byName, byClient, cache: this.#caches.create() }
    byMethod.set(method, plans)
    return plans
  }

  #narrow(plans: MethodPlans, server: string, method: string, name: string, client: string): Plan {
    const key = !plans.byClient ? name : plans.byName ? `${client.length}:${client}${name}` : client
    return plans.cache.get(key) ?? plans.cache.set(key, this.#compute(server, method, name, client))
  }

  #findStranger(server: string, method: string, name: string, client: string): Plan {
    const key = `${server.length}:${method.length}:${client.length}:${server}${method}${client}${name}`
    return this.#strangers.get(key) ?? this.#strangers.set(key, this.#compute(server, method, name, client))
  }

  /** Many names have the same plan: it is made once. */
  #compute(server: string, method: string, name: string, client: string): Plan {
    const entries = this.#chain.flatMap(entry => applied(entry, server, method, name, client) ?? [])
    const key = planKey(entries)
    const known = this.#shared.get(key)
    if (known !== undefined) return known
    const plan = buildPlan(entries)
    if (this.#shared.size >= MAX_SHARED_PLANS) this.#shared.clear()
    this.#shared.set(key, plan)
    return plan
  }
}

/** Whether an entry has a step for a method whatever its `match` says of methods. */
function meetsAlways(steps: ChainEntry['steps'], method: string): boolean {
  return Object.values(steps).some(step => step?.always.fits(method) === true)
}

function hearsServer(step: DirectedStep | null): boolean {
  return step?.directions.includes('toClient') === true
}

/** The methods of the specification, those that the policy spells out, and the unknown one. */
function knownMethods(entries: readonly ChainEntry[]): Set<string> {
  const written = entries.flatMap(entry => entry.matcher.method.patterns)
  return new Set(['', ...METHODS.keys(), ...written])
}
