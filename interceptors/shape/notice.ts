import { formatDuration, type Json, type JsonObject } from '#api'
import type { Kept, Page } from './keeper.ts'
import { BYTES_PER_TOKEN } from './rules.ts'
import type { Shaped } from './shape-result.ts'

/** What is said about a result that was cut: a text that every model reads, and a link where the revision has one. */
export function noticeBlocks(
  shaped: Shaped,
  kept: Kept | null,
  wanted: boolean,
  keepMs: number,
  links: boolean,
): Json[] {
  const text = `[${opening(shaped)} ${shaped.told.join(' ')} ${wayBack(kept, wanted, keepMs)}]`.replaceAll(/ +/g, ' ')
  const blocks: Json[] = [{ type: 'text', text: text.replace(' ]', ']') }]
  if (kept !== null && links) blocks.push(linkTo(kept, keepMs))
  return blocks
}

function opening({ before, after }: Shaped): string {
  const tokens = (bytes: number): number => Math.ceil(bytes / BYTES_PER_TOKEN)
  return `Sluice shortened this result from ${before} to ${after} bytes (about ${tokens(before)} to ${tokens(after)} tokens).`
}

function wayBack(kept: Kept | null, wanted: boolean, keepMs: number): string {
  if (kept !== null) {
    const pages = kept.pages === 1 ? '1 page' : `${kept.pages} pages, page=1 to page=${kept.pages}`
    return `Read what was cut, whole, with resources/read of ${kept.uri} (${pages}), within ${formatDuration(keepMs)}.`
  }
  return wanted ? 'What was cut is too large to be kept: ask for less.' : ''
}

function linkTo({ uri, pages, bytes, mime }: Kept, keepMs: number): JsonObject {
  return {
    type: 'resource_link',
    uri,
    name: 'whole-result',
    description: `What was cut from this result, whole: page 1 of ${pages}. Can be read for ${formatDuration(keepMs)}.`,
    mimeType: pages === 1 ? mime : 'text/plain',
    size: bytes,
  }
}

/** The `result` of a resources/read. A page of many is a piece of text, whatever the whole is. */
export function pageResult(uri: string, { head, text, next }: Page, modern: boolean, nowMs: number): JsonObject {
  const mimeType = head.pages === 1 ? head.mime : 'text/plain'
  const contents: Json[] = [{ uri, mimeType, text }]
  if (next !== null) {
    const more = `[Page ${head.page} of ${head.pages}. Next: resources/read of ${next}]`
    contents.push({ uri: `${uri}#next`, mimeType: 'text/plain', text: more })
  }
  const result: JsonObject = { contents, _meta: { 'dev.sluice/page': { page: head.page, pages: head.pages, next } } }
  // A page never changes; it only goes (2026-07-28, "Caching").
  return modern ? { ...result, ttlMs: Math.max(0, head.expiresAt - nowMs), cacheScope: 'private' } : result
}
