import type { Quota } from '../api/index.ts'
import type { Ask, Taken } from './counter.ts'

/** Where quotas and places are counted for several processes. Promises reject where it cannot be reached. */
export interface LimitBackend {
  take(key: string, ask: Ask, quota: Quota): Promise<Taken>
  spend(key: string, amount: number, quota: Quota): Promise<Taken>
  /**
   * Says how many places this process has from now on.
   * @param limit refused where all processes together would have more; `Infinity` = never
   * @returns whether it is so now
   */
  hold(key: string, count: number, limit: number): Promise<boolean>
}
