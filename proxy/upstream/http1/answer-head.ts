import { MalformedAnswerError } from './connection-error.ts'

/** How an answer's body ends (RFC 9112, 6.3). */
export type Framing = 'none' | 'length' | 'chunked' | 'close'

/** The head of an answer, as far as a proxy needs it. */
export interface AnswerHead {
  readonly status: number
  /** End-to-end header fields: name (lower-case), value, in the order they came. */
  readonly fields: string[]
  readonly framing: Framing
  /** Bytes of the body, with `framing: 'length'`; else 0. */
  readonly length: number
  /** Whether another request may follow on the connection. */
  readonly reusable: boolean
  /** How long the server says that it keeps an idle connection, in milliseconds; -1 = it does not say. */
  readonly keepAliveMs: number
}

/** What a field is to the connection: 0 = nothing, it is passed on. */
const PASSED = 0
const DROPPED = 1
const CONNECTION = 2
const KEEP_ALIVE = 3
const LENGTH = 4
const CODING = 5

interface FieldName {
  readonly name: string
  readonly role: number
}

const ROLES = new Map([
  ['connection', CONNECTION],
  ['keep-alive', KEEP_ALIVE],
  ['content-length', LENGTH],
  ['transfer-encoding', CODING],
  ['proxy-authenticate', DROPPED],
  ['proxy-authorization', DROPPED],
  ['proxy-connection', DROPPED],
  ['te', DROPPED],
  ['trailer', DROPPED],
  ['upgrade', DROPPED],
])

/** Names as servers spell them; beyond so many, further ones are looked at each time. */
const MAX_KNOWN_NAMES = 512
const known = new Map<string, FieldName>()

/** A field name (RFC 9110, 5.6.2). */
const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** What no head may hold: control characters, and line ends that are not CRLF. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[\0-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|(?<!\r)\n/

const STATUS_LINE = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [^\r\n]*)?$/

/**
 * Reads the head of an answer: status line and fields, without the empty line at the end (RFC 9112, 4 and 5). Strict: what two
 * readers could take for two things is an error.
 * @throws MalformedAnswerError with what is wrong, never with the text itself
 */
export function parseAnswerHead(text: string): AnswerHead {
  if (FORBIDDEN.test(text)) throw malformed('a control character in the head')
  let end = lineEnd(text, 0)
  const status = STATUS_LINE.exec(text.slice(0, end))
  if (status === null) throw malformed('no status line')
  const reading = new Reading(Number(status[2]), status[1] === '0')
  while (end < text.length) {
    const start = end + 2
    end = lineEnd(text, start)
    reading.take(text, start, end)
  }
  return reading.finish()
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf('\r\n', from)
  return end === -1 ? text.length : end
}

class Reading {
  private readonly status: number
  private readonly isOld: boolean
  private readonly fields: string[]
  private length: string
  private coding: string
  private connection: string
  private keepAliveMs: number

  constructor(status: number, isOld: boolean) {
    this.status = status
    this.isOld = isOld
    this.fields = []
    this.length = ''
    this.coding = ''
    this.connection = ''
    this.keepAliveMs = -1
  }

  take(text: string, start: number, end: number): void {
    const colon = text.indexOf(':', start)
    if (colon === -1 || colon >= end) throw malformed('a line without a colon')
    const { name, role } = fieldName(text.slice(start, colon))
    const value = trimmed(text, colon + 1, end)
    if (role === PASSED) this.fields.push(name, value)
    else this.takeOwn(name, value, role)
  }

  private takeOwn(name: string, value: string, role: number): void {
    switch (role) {
      case LENGTH:
        if (this.length !== '') throw malformed('more than one Content-Length')
        if (!/^\d{1,15}$/.test(value)) throw malformed('a Content-Length that is no number')
        this.length = value
        this.fields.push(name, value)
        break
      case CODING:
        if (this.coding !== '' || value.toLowerCase() !== 'chunked')
          throw malformed('a transfer coding other than chunked')
        this.coding = 'chunked'
        break
      case CONNECTION:
        this.connection += this.connection === '' ? value.toLowerCase() : `,${value.toLowerCase()}`
        break
      case KEEP_ALIVE:
        this.keepAliveMs = keepAliveMs(value)
        break
    }
  }

  finish(): AnswerHead {
    if (this.length !== '' && this.coding !== '') throw malformed('both Content-Length and Transfer-Encoding')
    if (this.isOld && this.coding !== '') throw malformed('a transfer coding in HTTP/1.0')
    const { connection } = this
    const framing = this.framing()
    const plain = connection === '' || connection === 'keep-alive' || connection === 'close'
    const tokens = plain ? null : connection.split(',').map(token => token.trim())
    const says = (token: string): boolean => (tokens === null ? connection === token : tokens.includes(token))
    return {
      status: this.status,
      fields: tokens === null ? this.fields : without(this.fields, tokens),
      framing,
      length: framing === 'length' ? Number(this.length) : 0,
      reusable: framing !== 'close' && !says('close') && (!this.isOld || says('keep-alive')),
      keepAliveMs: this.keepAliveMs,
    }
  }

  private framing(): Framing {
    const { status } = this
    if (status < 200 || status === 204 || status === 304) return 'none'
    if (this.coding !== '') return 'chunked'
    if (this.length === '') return 'close'
    return Number(this.length) === 0 ? 'none' : 'length'
  }
}

/** Leaves out the fields that `Connection` names as its own (RFC 9110, 7.6.1). */
function without(fields: string[], tokens: readonly string[]): string[] {
  const kept: string[] = []
  for (let i = 0; i < fields.length; i += 2) {
    if (!tokens.includes(fields[i] as string)) kept.push(fields[i] as string, fields[i + 1] as string)
  }
  return kept
}

function fieldName(raw: string): FieldName {
  const found = known.get(raw)
  if (found !== undefined) return found
  if (!TOKEN.test(raw)) throw malformed('a field name that is none')
  const name = raw.toLowerCase()
  const made = { name, role: ROLES.get(name) ?? PASSED }
  if (known.size < MAX_KNOWN_NAMES) known.set(raw, made)
  return made
}

const SPACE = 0x20
const TAB = 0x09

/** Without the white space around it. */
function trimmed(text: string, start: number, end: number): string {
  while (start < end && isBlank(text.charCodeAt(start))) start++
  while (end > start && isBlank(text.charCodeAt(end - 1))) end--
  return text.slice(start, end)
}

function isBlank(code: number): boolean {
  return code === SPACE || code === TAB
}

function keepAliveMs(value: string): number {
  const found = /(?:^|[,;\s])timeout=(\d{1,9})/i.exec(value)
  return found === null ? -1 : Number(found[1]) * 1_000
}

export function malformed(what: string): Error {
  return new MalformedAnswerError(what)
}
