import { type Exchange, type JsonObject, SluiceError } from '#api'
import type { Lists } from './lists.ts'
import { addPage, MAX_TOOLS, type OpenList } from './pages.ts'
import { readList } from './read-list.ts'
import type { Tool } from './tool.ts'
import type { ToolList } from './tool-list.ts'

/** Most pages of one list. */
const MAX_PAGES = 100
/** Most bytes of one list. */
const MAX_BYTES = 32 * 1024 * 1024
/** Time for all pages, in milliseconds. */
const TIMEOUT_MS = 10_000

/** Makes tools of what a server lists. */
export type MakeTools = (exchange: Exchange, definitions: readonly JsonObject[]) => readonly Tool[]

/**
 * Learns the tools of a server by asking for them, in the session of an exchange. Those who need the same list at the same
 * time wait for one, which goes on when the exchange that asked has ended. What is known already stays in use where the
 * server does not answer.
 * @throws SluiceError where nothing is known and the server does not say
 */
export async function learn(lists: Lists, list: ToolList, exchange: Exchange, makeTools: MakeTools): Promise<void> {
  if (list.flight === null && lists.isDown(list)) return settle(list, exchange, null)
  list.flight ??= readAll(lists, exchange, makeTools).finally(() => {
    list.flight = null
  })
  try {
    await list.flight
  } catch (error) {
    lists.failed(list)
    settle(list, exchange, error)
  }
}

function settle(list: ToolList, exchange: Exchange, cause: unknown): void {
  if (!list.isKnown) {
    throw new SluiceError('upstream_broken', `the tools of ${exchange.server} could not be listed`, cause ?? undefined)
  }
  exchange.note('schema_list', 'stale')
}

async function readAll(lists: Lists, exchange: Exchange, makeTools: MakeTools): Promise<void> {
  const open: OpenList = { tools: new Map(), bytes: 0 }
  const cursors = new Set<string>()
  const signal = AbortSignal.timeout(TIMEOUT_MS)
  let cursor: string | null = null
  for (let pages = 1; ; pages++) {
    const params: JsonObject = cursor === null ? {} : { cursor }
    const answer = await exchange.call({ method: 'tools/list', params }, { signal, timeoutMs: TIMEOUT_MS })
    const page = readList(answer.json())
    if (page === null) throw new Error(`${exchange.server} answered tools/list with an error, or no list`)
    addPage(open, makeTools(exchange, page.tools), answer.byteLength)
    cursor = page.nextCursor
    if (cursor === null) return lists.learned(exchange, open, page.ttlMs)
    if (cursors.has(cursor)) throw new Error(`${exchange.server} lists its tools in a circle`)
    cursors.add(cursor)
    if (pages >= MAX_PAGES || open.bytes > MAX_BYTES || open.tools.size >= MAX_TOOLS) {
      throw new Error(`the list of ${exchange.server} does not end: ${open.tools.size} tools on ${pages} pages`)
    }
  }
}
