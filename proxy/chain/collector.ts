import type { Phase, Step } from '../policy/plan.ts'

/** A JSON answer that is held until it is complete, because somebody looks at it. */
export class Collector {
  /** Who looks; `null` = only the proxy itself. */
  readonly phase: Phase | null
  readonly chunks: Buffer[]
  private readonly maxBytes: number
  private bytes: number

  constructor(phase: Phase | null, maxBytes: number) {
    this.phase = phase
    this.chunks = []
    this.maxBytes = maxBytes
    this.bytes = 0
  }

  /** @returns false when it is more than anyone looks at */
  add(chunk: Buffer): boolean {
    this.chunks.push(chunk)
    this.bytes += chunk.length
    return this.bytes <= this.maxBytes
  }

  /** How much of an answer this step gets to see. */
  reach(step: Step): number {
    return Math.min(step.maxBytes, this.maxBytes)
  }

  /** All of it; the usual single chunk is not copied. */
  get body(): Buffer {
    return this.chunks.length === 1 ? (this.chunks[0] as Buffer) : Buffer.concat(this.chunks, this.bytes)
  }
}

/** How much of an answer is held for a phase: what its most patient step looks at, within `max_event_bytes`. */
export function mostHeld(phase: Phase, maxEventBytes: number): number {
  let most = phase.maxBytes
  for (const step of phase.steps) if (step.maxBytes > most) most = step.maxBytes
  return Math.min(most, maxEventBytes)
}
