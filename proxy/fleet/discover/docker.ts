import { setTimeout as delay } from 'node:timers/promises'
import type { DockerEngine } from '../docker/engine.ts'
import type { ReplicaSource } from '../source.ts'
import type { DockerSource } from '../spec.ts'
import { findContainers } from './containers.ts'
import { findTasks } from './tasks.ts'
import { type Found, type OnPlaces, type OnTrouble, Watcher } from './watcher.ts'

const INTERVAL_MS = 30_000
/** Tasks on other nodes make no events here. */
const TASK_INTERVAL_MS = 5_000
/** Managers hear of a task's new state a moment after the engine's event. */
const UNSETTLED_INTERVAL_MS = 500
/** Events come in bursts. */
const MIN_GAP_MS = 100
const FIRST_RETRY_MS = 200
const MAX_RETRY_MS = 10_000

/**
 * Containers with a label, or tasks of a Swarm service, that somebody else runs. Every event of the engine makes us ask for
 * the whole list, so none can be missed for long; an engine that is away leaves the list as it was.
 */
export class DockerReplicaSource implements ReplicaSource {
  readonly #engine: DockerEngine
  readonly #source: DockerSource
  readonly #watcher: Watcher
  readonly #closing = new AbortController()
  #following: Promise<void> = Promise.resolve()
  #intervalMs = INTERVAL_MS

  constructor(source: DockerSource, engine: DockerEngine) {
    this.#engine = engine
    this.#source = source
    this.#watcher = new Watcher({
      look: () => this.#look(),
      intervalMs: () => this.#intervalMs,
      minGapMs: MIN_GAP_MS,
    })
  }

  start(onPlaces: OnPlaces, onTrouble: OnTrouble): void {
    this.#watcher.start(onPlaces, onTrouble)
    this.#following = this.#follow()
  }

  refresh(): void {
    this.#watcher.soon()
  }

  async close(): Promise<void> {
    this.#watcher.close()
    this.#closing.abort()
    await this.#following
  }

  async #look(): Promise<Found> {
    if (this.#source.service === '') {
      return { places: await findContainers(this.#engine, this.#source), trouble: '' }
    }
    const { places, isSettled, trouble } = await findTasks(this.#engine, this.#source)
    this.#intervalMs = isSettled ? TASK_INTERVAL_MS : UNSETTLED_INTERVAL_MS
    return { places, trouble }
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        const events = await this.#engine.events(this.#filters(), signal)
        tries = 0
        // What happened before they could be heard, also while the engine was away.
        this.#watcher.soon()
        for await (const _ of events) this.#watcher.soon()
      } catch {
        // The look that follows says what is wrong.
      }
      this.#watcher.soon()
      const pause = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 10))
      await delay(pause, null, { signal, ref: false }).catch(() => {})
    }
  }

  /** Health changes are container events, too. */
  #filters(): Record<string, string[]> {
    const { label, service } = this.#source
    return service === '' ? { type: ['container'], label: [label] } : { type: ['service', 'container', 'node'] }
  }
}
