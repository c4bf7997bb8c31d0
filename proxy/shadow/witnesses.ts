import type { Exchange, Message } from '../api/index.ts'
import type { Inbound, ReplyPort, Tap, Witness } from '../chain/ports.ts'
import { channels } from '../observe/channels.ts'
import type { UpstreamSink } from '../upstream/upstream.ts'
import type { Recording } from './recording.ts'
import { RecordingTap, type TapOwner } from './tap.ts'

/** Wants to know about exchanges. */
export interface Watcher {
  /** Asked once for each exchange, when it begins. */
  wants(exchange: Exchange): boolean
  /** @param recording `null` = there was no room for it */
  take(recording: Recording | null): void
}

/** What all exchanges that are being watched may hold at a time, unless said otherwise. */
export const DEFAULT_MAX_BYTES = 64 * 1024 * 1024
/** The most kept of one exchange: what is larger, such as a stream that never ends, is let go. */
export const MAX_EXCHANGE_BYTES = 8 * 1024 * 1024

/** Taps exchanges for those who watch, within one bound of memory for all. */
export class Witnesses implements Witness {
  readonly #maxBytes: number
  readonly #changed: (watched: boolean) => void
  #watchers: readonly Watcher[] = []
  #held = 0

  /** @param changed told whether anybody watches, each time that changes */
  constructor(maxBytes: number, changed: (watched: boolean) => void) {
    this.#maxBytes = maxBytes
    this.#changed = changed
  }

  add(watcher: Watcher): void {
    this.#watchers = [...this.#watchers, watcher]
    this.#changed(true)
  }

  remove(watcher: Watcher): void {
    this.#watchers = this.#watchers.filter(one => one !== watcher)
    this.#changed(this.#watchers.length > 0)
  }

  begin(exchange: Exchange, inbound: Inbound, message: Message, reply: ReplyPort, sink: UpstreamSink): Tap | null {
    const wanting = this.#watchers.filter(watcher => watcher.wants(exchange))
    if (wanting.length === 0) return null
    return new RecordingTap(this.#ownerFor(wanting), exchange, inbound, message, reply, sink)
  }

  #ownerFor(watchers: readonly Watcher[]): TapOwner {
    let own = 0
    return {
      reserve: bytes => {
        if (own + bytes > MAX_EXCHANGE_BYTES || this.#held + bytes > this.#maxBytes) return false
        own += bytes
        this.#held += bytes
        return true
      },
      release: bytes => {
        this.#held -= bytes
      },
      done: recording => {
        for (const watcher of watchers) tell(watcher, recording)
      },
    }
  }
}

/** Nothing that watches may get into the way of what it watches. */
function tell(watcher: Watcher, recording: Recording | null): void {
  try {
    watcher.take(recording)
  } catch (error) {
    channels.notice.publish({ level: 'error', text: 'an exchange could not be recorded', fields: { error } })
  }
}
