import type { Entry } from './entry.ts'
import type { Visit } from './visit.ts'

/** Where answers are kept. */
export interface Shelf {
  /** Milliseconds of the clock that entries are labelled by. */
  now(): number
  /** The answer that may be given to this visit, fresh or not; sets `visit.epoch` and `visit.touches`. */
  find(visit: Visit): Entry | null | Promise<Entry | null>
  /** @param key one of the visit's keys */
  put(key: string, visit: Visit, entry: Entry): void
  remove(visit: Visit): void
  /** Something on the server has changed. @param uri the resource; `''` = the whole group */
  invalidate(server: string, group: Visit['group'], uri: string): void
}
