import type { ReplicaSource } from '../../proxy/fleet/source.ts'
import type { ReplicaPlace } from '../../proxy/upstream/replica-table.ts'
import { type Scope, until } from './scope.ts'

const LONG_MS = 60_000

/** What a source of replicas tells, collected; the source is closed with `scope`. */
export class Places {
  last: readonly ReplicaPlace[] = []
  /** How often it told of places. */
  told = 0
  trouble = ''

  constructor(source: ReplicaSource, scope: Scope) {
    source.start(
      places => {
        this.last = places
        this.told++
      },
      reason => {
        this.trouble = reason
      },
    )
    scope.after(() => source.close())
  }

  /** Waits until there are so many ready ones. */
  until(count: number): Promise<void> {
    const ready = (): number => this.last.filter(place => place.state === 'ready').length
    return until(() => this.told > 0 && ready() === count, `${count} places`, LONG_MS)
  }

  untilTrouble(text: RegExp): Promise<void> {
    return until(() => text.test(this.trouble), `trouble like ${text}`, LONG_MS)
  }
}
