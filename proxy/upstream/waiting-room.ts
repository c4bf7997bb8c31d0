import type { HttpCall } from './http-call.ts'

/**
 * Requests that wait, in two queues in the order they came: for a replica, or for room under `max_in_flight`. Both
 * together hold `max` at most.
 */
export class WaitingRoom {
  private readonly max: number
  private readonly forReplica: Set<HttpCall>
  private readonly forRoom: Set<HttpCall>

  constructor(max: number) {
    this.max = max
    this.forReplica = new Set()
    this.forRoom = new Set()
  }

  get size(): number {
    return this.forReplica.size + this.forRoom.size
  }

  get isFull(): boolean {
    return this.size >= this.max
  }

  get anyForReplica(): boolean {
    return this.forReplica.size > 0
  }

  get anyForRoom(): boolean {
    return this.forRoom.size > 0
  }

  add(call: HttpCall, what: 'replica' | 'room', now: number, timeoutMs: number): void {
    if (call.waitsUntil === 0) call.waitsUntil = now + timeoutMs
    const queue = what === 'replica' ? this.forReplica : this.forRoom
    queue.add(call)
    // 0 would mean for ever.
    call.wait(Math.max(1, call.waitsUntil - now))
  }

  remove(call: HttpCall): void {
    call.stopWaiting()
    if (!this.forReplica.delete(call)) this.forRoom.delete(call)
  }

  /** The one that has waited longest for room; `null` = none. */
  nextForRoom(): HttpCall | null {
    for (const call of this.forRoom) {
      this.remove(call)
      return call
    }
    return null
  }

  /** All that wait for a replica, in order; they do not wait any more. */
  takeForReplica(): HttpCall[] {
    const calls = [...this.forReplica]
    for (const call of calls) this.remove(call)
    return calls
  }

  /** Everybody. */
  takeAll(): HttpCall[] {
    const calls = [...this.forReplica, ...this.forRoom]
    for (const call of calls) this.remove(call)
    return calls
  }
}
