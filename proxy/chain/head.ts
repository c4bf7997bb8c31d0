/** What kind of body an upstream answer has. */
export type BodyKind = 'json' | 'sse' | 'other'

/** What the relay needs to know of the head of an answer. One pass over the fields; made once an answer. */
export class AnswerHead {
  readonly status: number
  /** End-to-end fields, flat, lower-case. */
  readonly headers: string[]
  body: BodyKind
  /** -1 when the answer does not say. */
  contentLength: number
  /** Whether the body is compressed, so that nobody can look at it. */
  encoded: boolean
  /** Index of the value of `mcp-session-id` in `headers`; -1 when absent. */
  sessionAt: number
  /** Where a redirect leads; `''` = nowhere. */
  location: string
  /** Whether it carries an authentication challenge. */
  challenge: boolean

  constructor(status: number, headers: string[]) {
    this.status = status
    this.headers = headers
    this.body = 'other'
    this.contentLength = -1
    this.encoded = false
    this.sessionAt = -1
    this.location = ''
    this.challenge = false
    for (let i = 0; i < headers.length; i += 2) this.take(headers[i] as string, headers[i + 1] as string, i + 1)
  }

  private take(name: string, value: string, at: number): void {
    switch (name) {
      case 'content-type':
        this.body = bodyKind(value)
        break
      case 'content-length':
        this.contentLength = Number(value)
        break
      case 'content-encoding':
        this.encoded = value !== '' && value.toLowerCase() !== 'identity'
        break
      case 'mcp-session-id':
        this.sessionAt = at
        break
      case 'location':
        this.location = value
        break
      case 'www-authenticate':
        this.challenge = true
        break
    }
  }
}

function bodyKind(contentType: string): BodyKind {
  if (contentType === 'application/json') return 'json'
  if (contentType === 'text/event-stream') return 'sse'
  const semicolon = contentType.indexOf(';')
  const essence = (semicolon === -1 ? contentType : contentType.slice(0, semicolon)).trim().toLowerCase()
  if (essence === 'application/json' || essence.endsWith('+json')) return 'json'
  return essence === 'text/event-stream' ? 'sse' : 'other'
}

/** The fields for a body of another length: `content-length` is right again, or gone for a stream (`length` -1). */
export function withLength(headers: readonly string[], length: number): string[] {
  const changed: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    // A digest of the original body would be wrong for the edited one.
    if (headers[i] === 'content-length' || headers[i] === 'etag' || headers[i] === 'content-md5') continue
    if (headers[i] === 'digest' || headers[i] === 'content-digest' || headers[i] === 'repr-digest') continue
    changed.push(headers[i] as string, headers[i + 1] as string)
  }
  if (length >= 0) changed.push('content-length', String(length))
  return changed
}

/** What to tell about a redirect: where to point the configuration, if it is another path of the same server. */
export function redirectText(server: string, head: AnswerHead): string {
  const hint = head.location.startsWith('/') ? head.location : URL.parse(head.location)?.pathname
  const advice =
    hint === undefined ? 'set its url to where it really is' : `set the path of its url to ${hint.split('?')[0]}`
  return `${server} answers with a redirect (HTTP ${head.status}), which is not followed: ${advice}`
}
