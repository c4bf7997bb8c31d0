import type { Direction, JsonObject, Kind, Message } from '../api/index.ts'
import type { Envelope } from './envelope.ts'
import { ScanFault, scan } from './scan.ts'
import { splice } from './splice.ts'

/** Nesting allowed in a message that an interceptor has edited: interceptors are trusted, recursion is not endless. */
const EDITED_MAX_DEPTH = 1000

/** A `content` of fewer bytes is parsed with the rest, so that all share one parse. */
const MIN_LEFT_OUT = 1024

/** A message in flight: its bytes, its envelope, and JSON once somebody asked. One hidden class for all kinds. */
export class WireMessage implements Message {
  readonly direction: Direction
  /** The envelope of the current bytes. */
  envelope: Envelope
  /** The message as it came. */
  readonly original: Buffer
  /** The message as it would leave now. */
  body: Buffer
  method: string
  name: string
  /** Whether the hook that runs now may edit: the runner sets it before each step. */
  editable: boolean
  /** Number of edits that changed something. */
  edits: number
  private parsed: JsonObject | null
  /** The same without `result.content`. */
  private outline: JsonObject | null

  /** @param method,name for a response: those of the request it answers */
  constructor(direction: Direction, envelope: Envelope, body: Buffer, method: string, name: string) {
    this.direction = direction
    this.envelope = envelope
    this.original = body
    this.body = body
    this.method = method
    this.name = name
    this.editable = false
    this.edits = 0
    this.parsed = null
    this.outline = null
  }

  get kind(): Kind {
    return this.envelope.kind
  }

  get id(): string | number | null {
    return this.envelope.id
  }

  get byteLength(): number {
    return this.body.length
  }

  get edited(): boolean {
    return this.edits !== 0
  }

  bytes(): Buffer {
    return this.body
  }

  json(): Readonly<JsonObject> {
    let parsed = this.parsed
    if (parsed === null) {
      parsed = JSON.parse(this.body.toString()) as JsonObject
      this.parsed = parsed
    }
    return parsed
  }

  jsonWithoutContent(): Readonly<JsonObject> {
    const { contentStart, contentEnd } = this.envelope
    if (this.parsed !== null || contentEnd - contentStart < MIN_LEFT_OUT) return this.json()
    let outline = this.outline
    if (outline === null) {
      const { body } = this
      const text = `${body.toString('utf8', 0, contentStart)}[]${body.toString('utf8', contentEnd)}`
      outline = JSON.parse(text) as JsonObject
      this.outline = outline
    }
    return outline
  }

  edit(change: (json: JsonObject) => void): void {
    this.requireEdits('edit')
    const text = this.body.toString()
    const after = JSON.parse(text) as JsonObject
    const returned: unknown = change(after)
    if (typeof (returned as { then?: unknown } | undefined)?.then === 'function') {
      throw new TypeError('edit(): the change function returned a promise; await first, then edit() with the outcome')
    }
    const body = splice(this.body, JSON.parse(text) as JsonObject, after)
    if (body !== this.body) this.take(body, 'edit')
  }

  replace(body: Uint8Array): void {
    this.requireEdits('replace')
    this.take(Buffer.from(body), 'replace')
  }

  /** An independent copy for a hook that runs in shadow mode; shares the bytes, which nobody writes to. */
  shadowCopy(): WireMessage {
    const copy = new WireMessage(this.direction, this.envelope, this.body, this.method, this.name)
    copy.edits = this.edits
    return copy
  }

  /** Takes back what a hook did that failed afterwards. */
  restore(body: Buffer, envelope: Envelope, edits: number): void {
    if (this.body === body) return
    this.body = body
    this.envelope = envelope
    this.edits = edits
    this.parsed = null
    this.outline = null
    if (envelope.kind !== 'response') {
      this.method = envelope.method
      this.name = envelope.name
    }
  }

  private requireEdits(what: string): void {
    if (this.editable) return
    throw new TypeError(`${what}(): this interceptor's look at a ${this.kind} lacks "edits: true"`)
  }

  private take(body: Buffer, what: string): void {
    const envelope = scan(body, EDITED_MAX_DEPTH)
    if (envelope instanceof ScanFault) {
      throw new TypeError(`${what}(): the message would not be valid any more: ${envelope.text}`)
    }
    if (envelope.kind !== this.envelope.kind) {
      throw new TypeError(`${what}(): a ${this.envelope.kind} must stay one, this would be a ${envelope.kind}`)
    }
    if (envelope.idText !== this.envelope.idText && !sameId(envelope, this.envelope)) {
      throw new TypeError(`${what}(): the id of a message must not change`)
    }
    this.body = body
    this.envelope = envelope
    this.parsed = null
    this.outline = null
    this.edits++
    if (envelope.kind !== 'response') {
      this.method = envelope.method
      this.name = envelope.name
    }
  }
}

/** The same id in another spelling; numbers that doubles cannot tell apart are not the same. */
function sameId(a: Envelope, b: Envelope): boolean {
  return a.id === b.id && (typeof a.id === 'string' || Number.isSafeInteger(a.id))
}
