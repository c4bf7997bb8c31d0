import type { Phase, Phases, Plan, PlanTable, Step } from '../policy/plan.ts'

/** The part of a policy behind one of its entries: what a message meets that this entry sends. */
export class BelowTable implements PlanTable {
  readonly generation: number
  readonly slots: number
  readonly entries: readonly string[]
  private readonly whole: PlanTable
  private readonly slot: number
  private readonly plans = new WeakMap<Plan, Plan>()

  constructor(whole: PlanTable, slot: number) {
    this.generation = whole.generation
    this.slots = whole.slots
    this.entries = whole.entries
    this.whole = whole
    this.slot = slot
  }

  find(server: string, method: string, name: string, client: string): Plan {
    const plan = this.whole.find(server, method, name, client)
    const known = this.plans.get(plan)
    if (known !== undefined) return known
    const ends = this.steps(plan.ends ?? [])
    const below = {
      toServer: this.phases(plan.toServer),
      toClient: this.phases(plan.toClient),
      ends: ends.length === 0 ? null : ends,
    }
    this.plans.set(plan, below)
    return below
  }

  /** Those of the whole policy: what an entry below changes is decided by the entries above, too. */
  rechecks(server: string, method: string, name: string, client: string): readonly Step[] {
    return this.whole.rechecks(server, method, name, client)
  }

  /** Nobody hears what the server sends on its own: it goes nowhere. */
  looksAtStreams(): boolean {
    return false
  }

  retain(): void {
    this.whole.retain()
  }

  release(): void {
    this.whole.release()
  }

  private phases({ request, response, notification }: Phases): Phases {
    return { request: this.phase(request), response: this.phase(response), notification: this.phase(notification) }
  }

  private phase(phase: Phase | null): Phase | null {
    if (phase === null) return null
    const steps = this.steps(phase.steps)
    return steps.length === 0 ? null : { ...phase, steps }
  }

  private steps(steps: readonly Step[]): readonly Step[] {
    return steps.filter(step => step.slot > this.slot)
  }
}

const tables = new WeakMap<PlanTable, Map<number, BelowTable>>()

/**
 * The table of the entries behind the one of this name. Made once for each.
 * @throws TypeError when there is no such entry
 */
export function tableBelow(whole: PlanTable, entry: string): BelowTable {
  const slot = whole.entries.indexOf(entry)
  if (slot === -1) throw new TypeError(`Exchange.call: no chain entry is named "${entry}"`)
  let bySlot = tables.get(whole)
  if (bySlot === undefined) {
    bySlot = new Map()
    tables.set(whole, bySlot)
  }
  const known = bySlot.get(slot)
  if (known !== undefined) return known
  const below = new BelowTable(whole, slot)
  bySlot.set(slot, below)
  return below
}
