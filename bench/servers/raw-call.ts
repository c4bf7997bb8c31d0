const HEAD_END = Buffer.from('\r\n\r\n')
const LENGTH = /\r\ncontent-length: *(\d+)/i
const MAX_HEAD_BYTES = 16_384
/** How much of a body is looked at: ids, methods and names stand in front. */
const LOOK_BYTES = 2_048

/**
 * The size of the first request in bytes; 0 = its head is not complete yet; -1 = it cannot be framed: anything but GET and
 * DELETE must say its length.
 */
export function requestSize(input: Buffer): number {
  const end = input.indexOf(HEAD_END)
  if (end < 0) return input.length > MAX_HEAD_BYTES ? -1 : 0
  const match = LENGTH.exec(input.toString('latin1', 0, end))
  if (match !== null) return end + 4 + Number(match[1])
  return input[0] === 0x50 ? -1 : end + 4
}

const HEADER_METHOD = /\r\nmcp-method: *([^\r]*)/i
const HEADER_NAME = /\r\nmcp-name: *([^\r]*)/i
const WANTED_TOOLS = /^\S+ [^ ]*[?&]tools=(\d+)/
const BODY_ID = /"id":("[^"]*"|\d+)/
const BODY_METHOD = /"method":"([^"]*)"/
const BODY_NAME = /"name":"([^"]*)"/
const BODY_TOKEN = /"progressToken":("[^"]*"|\d+)/

/** One request, of which only what tells answers apart is read; `''` = it does not say. */
export class Call {
  readonly verb: string
  readonly #head: string
  readonly #body: string

  constructor(request: Buffer) {
    const end = request.indexOf(HEAD_END)
    this.#head = request.toString('latin1', 0, end)
    this.#body = request.toString('latin1', end + 4, Math.min(request.length, end + 4 + LOOK_BYTES))
    this.verb = this.#head.slice(0, this.#head.indexOf(' '))
  }

  /** As JSON. */
  get id(): string {
    return BODY_ID.exec(this.#body)?.[1] ?? ''
  }

  get method(): string {
    return (HEADER_METHOD.exec(this.#head) ?? BODY_METHOD.exec(this.#body))?.[1] ?? ''
  }

  get tool(): string {
    return (HEADER_NAME.exec(this.#head) ?? BODY_NAME.exec(this.#body))?.[1] ?? ''
  }

  /** What `?tools=N` of the URL says; 0 = nothing. */
  get wantedTools(): number {
    return Number(WANTED_TOOLS.exec(this.#head)?.[1] ?? 0)
  }

  /** As JSON; `0` when the request has none. */
  get progressToken(): string {
    return BODY_TOKEN.exec(this.#body)?.[1] ?? '0'
  }
}
