import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from 'node:zlib'
import type { Kind, Outcome, Principal, SluiceError } from '../api/index.ts'
import type { Inbound } from '../chain/ports.ts'

/** What a server answered, as it came. */
export interface RecordedAnswer {
  readonly status: number
  /** Flat, lower-case. */
  readonly headers: readonly string[]
  readonly body: Buffer
  /** Where it ended early, or never came. */
  readonly error: SluiceError | null
  /** Whether this is all of it: the proxy may have cut the server off. */
  readonly whole: boolean
}

/** Everything that was said in one exchange. */
export interface Recording {
  readonly id: string
  readonly server: string
  readonly principal: Principal
  readonly era: Inbound['era']
  readonly httpMethod: Inbound['httpMethod']
  /** The session's fingerprint; `null` = none. */
  readonly session: string | null
  /** The client's header fields, flat, without credentials. */
  readonly headers: readonly string[]
  /** Those that went on to the server, flat; may hold credentials: never to be written down. */
  readonly upstreamHeaders: readonly string[]
  readonly query: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
  readonly kind: Kind
  readonly method: string
  readonly name: string
  /** The client's message as it came. */
  readonly request: Buffer
  /** The client's message as the server got it; `null` = it did not get there. */
  readonly sent: Buffer | null
  /** `null` = the server was not asked. */
  readonly answer: RecordedAnswer | null
  /** What the client got. */
  readonly reply: { readonly status: number; readonly headers: readonly string[]; readonly body: Buffer }
  readonly outcome: Outcome
  /** How much memory it holds, in bytes. */
  readonly bytes: number
}

/** Largest body that is taken apart. */
const MAX_DECODED_BYTES = 16 * 1024 * 1024

export function fieldOf(headers: readonly string[], name: string): string {
  const at = headers.findIndex((field, i) => i % 2 === 0 && field.toLowerCase() === name)
  return at === -1 ? '' : (headers[at + 1] as string)
}

/** Header fields without those that say how long the body is and how it is packed. */
export function plainHeaders(headers: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i] as string
    if (name !== 'content-encoding' && name !== 'content-length') kept.push(name, headers[i + 1] as string)
  }
  return kept
}

/** A body without its compression. @throws Error when it cannot be undone, or is too large then */
export function plainBody(headers: readonly string[], body: Buffer): Buffer {
  const encoding = fieldOf(headers, 'content-encoding').toLowerCase()
  const limit = { maxOutputLength: MAX_DECODED_BYTES }
  if (encoding === '' || encoding === 'identity' || body.length === 0) return body
  if (encoding === 'gzip' || encoding === 'x-gzip') return gunzipSync(body, limit)
  if (encoding === 'br') return brotliDecompressSync(body, limit)
  if (encoding === 'deflate') return inflateSync(body, limit)
  if (encoding === 'zstd') return zstdDecompressSync(body, limit)
  throw new Error(`content-encoding ${encoding} is not known`)
}
