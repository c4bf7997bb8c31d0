import { LRUCache } from 'lru-cache'
import type { Tool } from './tool.ts'

/** Lists that clients are in the middle of, and their bytes; a client that stops half-way is forgotten. */
const MAX_OPEN = 256
const MAX_OPEN_BYTES = 64 * 1024 * 1024
/** Most tools of one server. */
export const MAX_TOOLS = 10_000

/** A list of tools, page by page. */
export interface OpenList {
  readonly tools: Map<string, Tool>
  bytes: number
}

/** Puts together the pages that clients read, each at its own pace. */
export class Pages {
  readonly #open = new LRUCache<string, OpenList>({
    max: MAX_OPEN,
    maxSize: MAX_OPEN_BYTES,
    sizeCalculation: list => Math.max(1, list.bytes),
  })

  /**
   * @param reader who reads: a server and a session
   * @param cursor what the page was asked for with; `null` = the first page
   * @returns the list so far; `null` where the pages before were not seen
   */
  begin(reader: string, cursor: string | null): OpenList | null {
    if (cursor === null) return { tools: new Map(), bytes: 0 }
    const key = `${reader}\n${cursor}`
    const list = this.#open.get(key) ?? null
    // The same page may be read twice: each reading goes on from a copy.
    return list === null ? null : { tools: new Map(list.tools), bytes: list.bytes }
  }

  /** Keeps a list until its next page comes. */
  keep(reader: string, nextCursor: string, list: OpenList): void {
    this.#open.set(`${reader}\n${nextCursor}`, list)
  }
}

/** Adds a page; of two tools of one name the first counts, but one that is blocked blocks the name. */
export function addPage(list: OpenList, tools: readonly Tool[], bytes: number): void {
  list.bytes += bytes
  for (const tool of tools) {
    const known = list.tools.get(tool.name)
    if (known === undefined && list.tools.size < MAX_TOOLS) list.tools.set(tool.name, tool)
    else if (known !== undefined && known.blocked === '' && tool.blocked !== '') list.tools.set(tool.name, tool)
  }
}
