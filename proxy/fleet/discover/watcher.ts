import type { ReplicaPlace } from '../../upstream/replica-table.ts'

export type OnPlaces = (places: readonly ReplicaPlace[]) => void
export type OnTrouble = (reason: string) => void

const FIRST_RETRY_MS = 500
const MAX_RETRY_MS = 30_000

/** What a look found. */
export interface Found {
  readonly places: readonly ReplicaPlace[]
  /** What is odd about it, one sentence; `''` = nothing. */
  readonly trouble: string
}

/** How a watcher looks. */
export interface WatcherOptions {
  /** Who is there now. What it rejects with is told as trouble: one sentence, without secrets. */
  readonly look: () => Promise<Found>
  /** Between two looks when nothing else calls for one; asked after each look. */
  readonly intervalMs: () => number
  /** Shortest time between the beginnings of two looks. */
  readonly minGapMs: number
}

/**
 * Looks again and again who is there: in intervals (a part of them by chance, so that instances do not ask all at once), and
 * sooner when told to. One look at a time; what is told meanwhile makes one more. A look that fails changes nothing, and is
 * tried again with growing pauses.
 */
export class Watcher {
  readonly #options: WatcherOptions
  #onPlaces: OnPlaces = () => {}
  #onTrouble: OnTrouble = () => {}
  #timer: NodeJS.Timeout | null = null
  #dueAt = Number.POSITIVE_INFINITY
  #lookedAt = Number.NEGATIVE_INFINITY
  #isLooking = false
  #isWanted = false
  #isClosed = false
  #failures = 0
  /** What was told last, as text; `null` = nothing yet. */
  #told: string | null = null
  #trouble = ''

  constructor(options: WatcherOptions) {
    this.#options = options
  }

  start(onPlaces: OnPlaces, onTrouble: OnTrouble): void {
    this.#onPlaces = onPlaces
    this.#onTrouble = onTrouble
    this.#look()
  }

  /** A look is worth while as soon as may be. */
  soon(): void {
    if (this.#isLooking) this.#isWanted = true
    else this.#lookAt(this.#lookedAt + this.#options.minGapMs)
  }

  close(): void {
    this.#isClosed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
  }

  #lookAt(at: number): void {
    if (this.#isClosed || at >= this.#dueAt) return
    this.#dueAt = at
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#look(), Math.max(0, at - performance.now()))
    this.#timer.unref()
  }

  #look(): void {
    this.#isLooking = true
    this.#isWanted = false
    this.#dueAt = Number.POSITIVE_INFINITY
    this.#lookedAt = performance.now()
    this.#options.look().then(
      found => this.#seen(found),
      error => this.#failed((error as Error).message),
    )
  }

  #seen({ places, trouble }: Found): void {
    if (this.#isClosed) return
    this.#failures = 0
    const sorted = places.toSorted((a, b) => (a.id < b.id ? -1 : 1))
    const text = JSON.stringify(sorted)
    if (text !== this.#told) {
      this.#told = text
      this.#onPlaces(sorted)
    }
    this.#tell(trouble)
    this.#next(this.#options.intervalMs())
  }

  #failed(reason: string): void {
    if (this.#isClosed) return
    this.#tell(reason)
    const pause = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(this.#failures, 10))
    this.#failures++
    this.#next(Math.min(pause, this.#options.intervalMs()))
  }

  #tell(trouble: string): void {
    if (trouble === this.#trouble) return
    this.#trouble = trouble
    this.#onTrouble(trouble)
  }

  #next(pauseMs: number): void {
    this.#isLooking = false
    this.#lookAt(performance.now() + pauseMs * (0.9 + 0.1 * Math.random()))
    if (this.#isWanted) this.soon()
  }
}
