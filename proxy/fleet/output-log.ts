import { channels, type Output } from '../observe/channels.ts'

/** Lines that are kept for each replica, and their bytes. */
const MAX_LINES = 200
const MAX_BYTES = 64 * 1024
/** Replicas of a server whose lines are kept, the ended ones too: those that spoke last. */
const MAX_REPLICAS = 8

export interface LoggedLine {
  readonly replica: string
  /** Milliseconds since the epoch. */
  readonly at: number
  readonly line: string
}

/** The last lines that replicas wrote. */
export class OutputLog {
  /** Server -> replica -> its lines, the oldest first. */
  readonly #servers = new Map<string, Map<string, LoggedLine[]>>()
  readonly #onOutput = (message: unknown): void => this.#keep(message as Output)

  start(): void {
    channels.output.subscribe(this.#onOutput)
  }

  stop(): void {
    channels.output.unsubscribe(this.#onOutput)
  }

  /** All that is kept of a server, in the order of time. */
  of(server: string): LoggedLine[] {
    const all = [...(this.#servers.get(server)?.values() ?? [])].flat()
    return all.toSorted((a, b) => a.at - b.at)
  }

  forget(server: string): void {
    this.#servers.delete(server)
  }

  #keep({ server, replica, line }: Output): void {
    const replicas = this.#replicasOf(server)
    const lines = replicas.get(replica) ?? []
    // Who speaks last is kept longest.
    replicas.delete(replica)
    replicas.set(replica, lines)
    lines.push({ replica, at: Date.now(), line })
    trim(lines)
    const [oldest] = replicas.keys()
    if (replicas.size > MAX_REPLICAS && oldest !== undefined) replicas.delete(oldest)
  }

  #replicasOf(server: string): Map<string, LoggedLine[]> {
    let replicas = this.#servers.get(server)
    if (replicas === undefined) {
      replicas = new Map()
      this.#servers.set(server, replicas)
    }
    return replicas
  }
}

function trim(lines: LoggedLine[]): void {
  let bytes = 0
  let from = lines.length
  while (from > 0 && lines.length - from < MAX_LINES) {
    bytes += (lines[from - 1] as LoggedLine).line.length
    if (bytes > MAX_BYTES) break
    from--
  }
  if (from > 0) lines.splice(0, from)
}
