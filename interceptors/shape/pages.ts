import { borderBefore } from './cut-text.ts'

/** Cuts UTF-8 into pages of no more than `pageBytes`, between code points: put together they are the text again. */
export function pagesOf(text: string, pageBytes: number): Buffer[] {
  const bytes = Buffer.from(text)
  const pages: Buffer[] = []
  for (let start = 0; start < bytes.length; ) {
    const end = borderBefore(bytes, Math.min(bytes.length, start + pageBytes))
    pages.push(bytes.subarray(start, end))
    start = end
  }
  return pages
}

/** What stands before a page in the store. */
export interface PageHead {
  /** Hash of who may read it. */
  readonly owner: string
  readonly page: number
  readonly pages: number
  readonly mime: string
  /** Milliseconds since the epoch. */
  readonly expiresAt: number
}

/** A page as it is stored: a line of JSON, then the text. */
export function packPage(head: PageHead, text: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${JSON.stringify(head)}\n`), text])
}

/** @returns `null` when these bytes are no page */
export function unpackPage(packed: Uint8Array): { head: PageHead; text: string } | null {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.byteLength)
  const line = bytes.indexOf(0x0a)
  if (line === -1) return null
  try {
    return { head: JSON.parse(bytes.toString('utf8', 0, line)) as PageHead, text: bytes.toString('utf8', line + 1) }
  } catch {
    return null
  }
}
