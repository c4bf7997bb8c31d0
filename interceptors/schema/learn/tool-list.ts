import type { Tool } from './tool.ts'

/** How long a list that lacks a tool proves that there is none, in milliseconds: a call of it does not ask again. */
const ABSENCE_MS = 10_000
/** How long the server is left alone after it could not be asked, in milliseconds. */
const RETRY_MS = 5_000
/** How soon after a list another one may be asked for because it changed, in milliseconds. */
const CHANGE_MS = 1_000

/** What one client was told about the tools of one server. */
export class ToolList {
  tools: ReadonlyMap<string, Tool> = new Map()
  /** Size of the answers it came from, in bytes. */
  bytes = 0
  /** The list that is on its way. */
  flight: Promise<void> | null = null
  /** Times are those of the monotonic clock. */
  #learnedAt = Number.NEGATIVE_INFINITY
  #freshUntil = Number.NEGATIVE_INFINITY
  #failedAt = Number.NEGATIVE_INFINITY
  /** The session, or client, that a whole list was told to. */
  #source: string | null = null

  /** A whole list. */
  replace(tools: ReadonlyMap<string, Tool>, bytes: number, source: string, now: number, ageMs: number): void {
    this.tools = tools
    this.bytes = bytes
    this.#source = source
    this.#learnedAt = now
    this.#freshUntil = now + ageMs
    this.#failedAt = Number.NEGATIVE_INFINITY
  }

  /** A part of a list: what it names is known now, what it does not may be there all the same. */
  add(tools: ReadonlyMap<string, Tool>): void {
    this.tools = new Map([...this.tools, ...tools])
  }

  failed(now: number): void {
    this.#failedAt = now
  }

  get isKnown(): boolean {
    return this.#source !== null
  }

  /** @param changedAt when the server last said that its tools changed */
  isFresh(now: number, changedAt: number): boolean {
    if (now >= this.#freshUntil) return false
    return changedAt < this.#learnedAt || now < this.#learnedAt + CHANGE_MS
  }

  /** Whether the server need not be asked for a tool that is not there. */
  provesAbsence(source: string, now: number): boolean {
    return this.#source === source && now < this.#learnedAt + ABSENCE_MS
  }

  /** Whether it was asked just now, and could not answer. */
  isDown(now: number): boolean {
    return now < this.#failedAt + RETRY_MS
  }
}
