/** An answer that a drain does not wait for. */
export interface Standing {
  cut(): void
}

/** So many streams are many; they are few again below half of it. */
export const MANY_STREAMS = 1000

/** Answers that only wait for what the server may say, and never end by themselves; says when they become many, or few again. */
export class StandingStreams {
  private readonly streams: Set<Standing>
  private readonly onMany: (areMany: boolean) => void
  private areMany: boolean

  constructor(onMany: (areMany: boolean) => void) {
    this.streams = new Set()
    this.onMany = onMany
    this.areMany = false
  }

  add(stream: Standing): void {
    this.streams.add(stream)
    if (this.areMany || this.streams.size < MANY_STREAMS) return
    this.areMany = true
    this.onMany(true)
  }

  delete(stream: Standing): void {
    this.streams.delete(stream)
    if (!this.areMany || this.streams.size >= MANY_STREAMS / 2) return
    this.areMany = false
    this.onMany(false)
  }

  cut(): void {
    for (const stream of this.streams) stream.cut()
  }
}
