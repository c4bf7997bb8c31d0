import type { Exchange } from '#api'

/** What a client of a revision understands. */
export interface Era {
  /** 2026-07-28 and later: no sessions, results say how long they hold. */
  readonly modern: boolean
  /** Whether content may hold a `resource_link` (2025-06-18 and later). */
  readonly links: boolean
}

/** Told from the header that every client since 2025-06-18 sends; without it the revision is older. */
export function eraOf(exchange: Exchange): Era {
  const version = exchange.header('mcp-protocol-version') ?? ''
  return { modern: version >= '2026-07-28', links: version >= '2025-06-18' }
}
