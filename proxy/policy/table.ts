import type { Plan, PlanTable } from './plan.ts'

/** The plans of one compiled policy. */
export class PolicyTable implements PlanTable {
  readonly generation = 1
  readonly slots = 0
  readonly entries: readonly string[] = []

  find(_server: string, _method: string, _name: string, _client: string): Plan {
    throw new Error('not yet')
  }

  looksAtStreams(_server: string, _client: string): boolean {
    return false
  }

  retain(): void {}

  release(): void {}

  /**
   * Says that no new exchange will begin with this table. Resolves when its last exchange has ended and every entry
   * is closed.
   */
  replace(): Promise<void> {
    return Promise.resolve()
  }
}
