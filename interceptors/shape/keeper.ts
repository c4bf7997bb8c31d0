import { createHash, randomBytes } from 'node:crypto'
import type { Environment, Exchange } from '#api'
import type { Options } from './options.ts'
import { type PageHead, packPage, pagesOf, unpackPage } from './pages.ts'
import type { Original } from './shape-result.ts'
import { Shelf } from './shelf.ts'

/** How the URIs of kept results begin. */
export const URI_PREFIX = 'sluice://result/'

/** 18 random bytes: nobody guesses them. */
const ID_BYTES = 18
const URI = /^sluice:\/\/result\/([0-9a-f]{8})-([\w-]{24})(?:\?page=([1-9]\d{0,6}))?$/

/** Chain entries of this process that keep results, by tag; an old policy's may still be there beside the new one's. */
const liveTags = new Map<string, number>()

/** A result that will be readable. */
export interface Kept {
  /** Of its first page. */
  readonly uri: string
  readonly pages: number
  readonly bytes: number
  readonly mime: string
  /** Settles when every page is in the store. */
  readonly stored: Promise<void>
}

/** A page that was found. */
export interface Page {
  readonly head: PageHead
  readonly text: string
  /** Of the page after it; `null` for the last one. */
  readonly next: string | null
}

/** Keeps whole results in the store, page by page, for the client that they were cut for. */
export class Keeper {
  readonly keepMs: number
  readonly #environment: Environment
  readonly #pageBytes: number
  readonly #shelf: Shelf
  /** Tells entries apart: the store's keys are the entry's own. */
  readonly #tag: string

  constructor(options: Options, environment: Environment) {
    this.keepMs = options.keep
    this.#environment = environment
    this.#pageBytes = options.page_bytes
    this.#shelf = new Shelf(environment.clock, { perOwner: options.max_kept_per_client, total: options.max_kept })
    this.#tag = sha256(environment.entry).slice(0, 8)
    liveTags.set(this.#tag, (liveTags.get(this.#tag) ?? 0) + 1)
  }

  /** @returns `null` when the originals are larger than what may be kept */
  keep(originals: readonly Original[], exchange: Exchange, modern: boolean): Kept | null {
    const { text, mime } = join(originals)
    const texts = pagesOf(text, this.#pageBytes)
    const bytes = texts.reduce((sum, page) => sum + page.length, 0)
    if (texts.length === 0 || !this.#shelf.takes(bytes, texts.length)) return null
    const id = randomBytes(ID_BYTES).toString('base64url')
    const owner = ownerOf(exchange, modern)
    const gone = this.#shelf.add(id, owner, bytes, texts.length, this.keepMs)
    const expiresAt = this.#environment.clock.now() + this.keepMs
    const stored = this.#store(id, { owner, pages: texts.length, mime, expiresAt }, texts, gone)
    return { uri: this.#uri(id, 1), pages: texts.length, bytes, mime, stored }
  }

  /** Whether a URI is one that another chain entry of this process may know. */
  isForeign(uri: string): boolean {
    const tag = URI.exec(uri)?.[1]
    return tag !== undefined && tag !== this.#tag && liveTags.has(tag)
  }

  /** The page behind a URI; `null` when there is none, or not for this client. */
  async read(uri: string, exchange: Exchange, modern: boolean): Promise<Page | null> {
    const [, tag, id, number = '1'] = URI.exec(uri) ?? []
    if (id === undefined || tag !== this.#tag) return null
    const packed = await this.#environment.store.get(keyOf(id, Number(number)))
    const found = packed === null ? null : unpackPage(packed)
    if (found === null || found.head.owner !== ownerOf(exchange, modern)) return null
    const { head, text } = found
    // A store may be slow to forget.
    if (head.expiresAt <= this.#environment.clock.now()) return null
    return { head, text, next: head.page < head.pages ? this.#uri(id, head.page + 1) : null }
  }

  close(): void {
    const left = (liveTags.get(this.#tag) ?? 1) - 1
    if (left > 0) liveTags.set(this.#tag, left)
    else liveTags.delete(this.#tag)
  }

  #uri(id: string, page: number): string {
    return `${URI_PREFIX}${this.#tag}-${id}?page=${page}`
  }

  async #store(
    id: string,
    common: Omit<PageHead, 'page'>,
    texts: readonly Buffer[],
    gone: readonly { readonly id: string; readonly pages: number }[],
  ): Promise<void> {
    const { store } = this.#environment
    const removals = gone.flatMap(item =>
      Array.from({ length: item.pages }, (_, i) => store.delete(keyOf(item.id, i + 1))),
    )
    const puts = texts.map((text, i) =>
      store.set(keyOf(id, i + 1), packPage({ ...common, page: i + 1 }, text), this.keepMs),
    )
    try {
      await Promise.all([...removals, ...puts])
    } catch (error) {
      this.#shelf.remove(id)
      throw error
    }
  }
}

function keyOf(id: string, page: number): string {
  return `${id}/${page}`
}

/** Who may read: the same client, of the same server; in the legacy era also in the same session. */
function ownerOf(exchange: Exchange, modern: boolean): string {
  const { principal, server, session } = exchange
  return sha256(JSON.stringify([principal.via, principal.id, server, modern ? null : session]))
}

/** One thing as it is; several one after the other, each under its place in the result. */
function join(originals: readonly Original[]): { text: string; mime: string } {
  const [first] = originals
  if (originals.length === 1 && first !== undefined) return { text: first.text, mime: first.mime }
  return { text: originals.map(({ label, text }) => `=== ${label} ===\n${text}\n`).join('\n'), mime: 'text/plain' }
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 32)
}
