/** How often the fleet is told of load at most, and how often those that wait for a replica are looked at. */
export const PULSE_MS = 200

/** Does something at once, and then no more often than every `PULSE_MS` while it is asked to. */
export class Pulse {
  private readonly beat: () => boolean
  private timer: NodeJS.Timeout | null
  private asked: boolean

  /** @param beat @returns whether to come again in any case */
  constructor(beat: () => boolean) {
    this.beat = beat
    this.timer = null
    this.asked = false
  }

  /** Something has changed. */
  ask(): void {
    this.asked = true
    if (this.timer === null) this.go()
  }

  stop(): void {
    if (this.timer !== null) clearTimeout(this.timer)
    this.timer = null
  }

  private go(): void {
    // Set first: what beats may ask again.
    this.timer = setTimeout(rest, PULSE_MS, this).unref()
    this.asked = false
    if (this.beat()) this.asked = true
  }

  /** Half a beat later. */
  rest(): void {
    this.timer = null
    if (this.asked) this.go()
  }
}

function rest(pulse: Pulse): void {
  pulse.rest()
}
