import type { ReplicaPlace, ServerPlaces } from '../upstream/replica-table.ts'
import type { ReplicaSource } from './source.ts'
import type { ServerState } from './status.ts'

/** A server whose replicas others run: says what its source finds. */
export class FoundServer {
  readonly name: string
  readonly #source: ReplicaSource
  #places: readonly ReplicaPlace[] = []
  #trouble = ''
  #isKnown = false

  constructor(name: string, source: ReplicaSource, changed: () => void) {
    this.name = name
    this.#source = source
    source.start(
      places => {
        this.#places = places
        this.#isKnown = true
        changed()
      },
      reason => {
        this.#trouble = reason
        changed()
      },
    )
  }

  /** While it is not known who is there, somebody may come. */
  get places(): ServerPlaces {
    const places = this.#places
    return { server: this.name, places, coming: !this.#isKnown, reason: this.reason }
  }

  get reason(): string {
    if (this.#trouble !== '' || !this.#isKnown || this.#places.length > 0) return this.#trouble
    return 'no replica was found'
  }

  get state(): ServerState {
    if (this.#places.length > 0) return 'ready'
    return this.#isKnown ? 'idle' : 'starting'
  }

  refresh(): void {
    this.#source.refresh()
  }

  close(): Promise<void> {
    return this.#source.close()
  }
}
