/** Receives the events of a stream, in order. */
export interface SseSink {
  /**
   * @param raw the exact bytes of the event with its blank line and what stood before it; a view
   * @param data the joined data lines, `null` when there are none or they are empty; a view of `raw` where it can be
   * @param eventType `message` where the event names none
   * @param id the event's `id` field, `null` when it has none
   */
  onEvent(raw: Buffer, data: Buffer | null, eventType: string, id: string | null): void
  /** An event is larger than `maxEventBytes`; see `SseSplitter`. */
  onOversize(): void
  /** Where given: the bytes of an oversized event, in parts as they come, before normal events go on. */
  onPart?(bytes: Buffer): void
}

export class SseSplitter {
  readonly maxEventBytes: number
  constructor(maxEventBytes: number) {
    this.maxEventBytes = maxEventBytes
  }
  push(_chunk: Buffer, _sink: SseSink): void {
    throw new Error('soon')
  }
  finish(_sink: SseSink): void {
    throw new Error('soon')
  }
  leftover(): Buffer {
    throw new Error('soon')
  }
}

export function rebuildEvent(_raw: Buffer, _newData: Buffer): Buffer {
  throw new Error('soon')
}

export class StreamTail {
  /** Whether the stream stands between two events. */
  atBoundary = true
  /** Whether a complete event carried a JSON-RPC response. */
  sawFinal = false
  /** Whether an `id` line with a value was seen. */
  sawEventId = false
  /** Complete events so far, those without data included. */
  events = 0
  push(_chunk: Buffer): void {
    throw new Error('soon')
  }
}
