import type { ReplicaPlace } from '../upstream/replica-table.ts'

/** Finds the replicas of one server that somebody else runs. */
export interface ReplicaSource {
  /**
   * Begins to look. `onPlaces` gets the whole list at each change, at once when it is known at the start already; ids are
   * stable for one and the same replica. While it cannot be asked who is there, the last list holds and `onTrouble` says
   * why, one sentence without secrets; `''` = it can be asked again. Never throws.
   */
  start(onPlaces: (places: readonly ReplicaPlace[]) => void, onTrouble: (reason: string) => void): void
  /** A replica could not be connected to: worth another look now, within reason. */
  refresh(): void
  /** No more callbacks from now on. */
  close(): Promise<void>
}
