import { LRUCache } from 'lru-cache'
import type { Clock, Exchange } from '#api'
import { addPage, type OpenList, Pages } from './pages.ts'
import type { ToolPage } from './read-list.ts'
import type { Tool } from './tool.ts'
import { ToolList } from './tool-list.ts'

/** Most lists kept, and the bytes of all of them; those not used for long are learned again. */
const MAX_LISTS = 2000
const MAX_LIST_BYTES = 128 * 1024 * 1024
/** A list is trusted for at least this long, whatever the server says, in milliseconds. */
const MIN_AGE_MS = 10_000

/**
 * What is known of tools: one list for each server and caller (as far as the server can tell callers apart), because it
 * may show them different tools, and nobody may learn from a refusal what another one sees.
 */
export class Lists {
  readonly #clock: Clock
  readonly #maxAgeMs: number
  readonly #pages = new Pages()
  /** When a server last said that its tools changed. */
  readonly #changedAt = new Map<string, number>()
  readonly #lists = new LRUCache<string, ToolList>({
    max: MAX_LISTS,
    maxSize: MAX_LIST_BYTES,
    sizeCalculation: list => Math.max(1, list.bytes),
  })

  constructor(clock: Clock, maxAgeMs: number) {
    this.#clock = clock
    this.#maxAgeMs = maxAgeMs
  }

  /** What the client of an exchange was told; made empty where nothing was. */
  of(exchange: Exchange): ToolList {
    const key = keyOf(exchange)
    let list = this.#lists.get(key)
    if (list === undefined) {
      list = new ToolList()
      this.#lists.set(key, list)
    }
    return list
  }

  /** What is known, without making anything. */
  known(exchange: Exchange): ToolList | undefined {
    return this.#lists.get(keyOf(exchange))
  }

  isFresh(list: ToolList, exchange: Exchange): boolean {
    return list.isFresh(this.#clock.monotonic(), this.#changedAt.get(exchange.server) ?? Number.NEGATIVE_INFINITY)
  }

  /** Whether the server has shown this client all its tools just now, and this one was not among them. */
  isAbsent(list: ToolList, exchange: Exchange, name: string): boolean {
    return !list.tools.has(name) && list.provesAbsence(sourceOf(exchange), this.#clock.monotonic())
  }

  isDown(list: ToolList): boolean {
    return list.isDown(this.#clock.monotonic())
  }

  failed(list: ToolList): void {
    list.failed(this.#clock.monotonic())
  }

  /** The server says that its tools changed: every list of it is learned again before it is used. */
  changed(server: string): void {
    this.#changedAt.set(server, this.#clock.monotonic())
  }

  /** A whole list was read. */
  learned(exchange: Exchange, open: OpenList, ttlMs: number | null): void {
    const ageMs = Math.min(this.#maxAgeMs, Math.max(MIN_AGE_MS, ttlMs ?? this.#maxAgeMs))
    const list = this.of(exchange)
    list.replace(open.tools, open.bytes, sourceOf(exchange), this.#clock.monotonic(), ageMs)
    // Its size has changed.
    this.#lists.set(keyOf(exchange), list)
  }

  /**
   * A client has read a page.
   * @param cursor what it asked for; `null` = the first page, `undefined` = nobody knows
   */
  seen(
    exchange: Exchange,
    cursor: string | null | undefined,
    page: ToolPage,
    tools: readonly Tool[],
    bytes: number,
  ): void {
    const reader = `${exchange.server}\n${sourceOf(exchange)}`
    const open = cursor === undefined ? null : this.#pages.begin(reader, cursor)
    if (open === null) {
      const part: OpenList = { tools: new Map(), bytes: 0 }
      addPage(part, tools, bytes)
      this.of(exchange).add(part.tools)
      return
    }
    addPage(open, tools, bytes)
    if (page.nextCursor === null) this.learned(exchange, open, page.ttlMs)
    else {
      this.of(exchange).add(open.tools)
      this.#pages.keep(reader, page.nextCursor, open)
    }
  }
}

function keyOf({ server, callerKey }: Exchange): string {
  return `${server}\n${callerKey}`
}

/** A server may show different tools in different sessions of one client. */
function sourceOf({ session, callerKey }: Exchange): string {
  return session === null ? callerKey : `session ${session}`
}
