import { randomUUID } from 'node:crypto'
import { signalGroup, startOf } from './process-table.ts'

/** In the environment of every child: whose it is. */
export const OWNER_MARK = 'SLUICE_OWNER'

/** A child process that leads its own group. */
export interface ChildRecord {
  readonly pid: number
  /** With the pid it names the process for good. */
  readonly startTicks: number
}

/** The children of this process, so that whoever comes after it knows what it left behind. */
export class Children {
  /** Names this process; never used again. */
  readonly token = randomUUID()
  readonly #living = new Map<number, number>()
  readonly #listeners = new Set<() => void>()

  #isArmed = false

  get living(): ChildRecord[] {
    return [...this.#living].map(([pid, startTicks]) => ({ pid, startTicks }))
  }

  /** @returns what ends it */
  onChange(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  add(pid: number): void {
    if (!this.#isArmed) process.once('exit', () => this.#killAll())
    this.#isArmed = true
    this.#living.set(pid, 0)
    void startOf(pid).then(startTicks => {
      if (startTicks === null || !this.#living.has(pid)) return
      this.#living.set(pid, startTicks)
      this.#tell()
    })
  }

  remove(pid: number): void {
    if (this.#living.delete(pid)) this.#tell()
  }

  /** Somebody ends this process without waiting for them. */
  #killAll(): void {
    for (const pid of this.#living.keys()) signalGroup(pid, 'SIGKILL')
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

export const children = new Children()
