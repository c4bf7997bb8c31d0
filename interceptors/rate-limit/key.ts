import { createHash } from 'node:crypto'
import type { Exchange, Json, Message } from '#api'

/** What stands in a key as it is; anything else, which peers chose, as a digest. */
const SAFE = /^[A-Za-z0-9._@-]{1,64}$/
const DIGEST_BYTES = 16
const ARGUMENT = 'argument.'
const MISSING = '~'

/** Makes the store's key of a message: the rule's name and one part for each thing that has the limit for itself. */
export class KeyMaker {
  /** Whether only a call of a tool has all parts. */
  readonly isOfTools: boolean
  readonly #prefix: string
  readonly #parts: readonly ((message: Message, exchange: Exchange) => string)[]

  constructor(rule: string, parts: readonly string[]) {
    this.#prefix = rule
    this.isOfTools = parts.some(part => part === 'tool' || part.startsWith(ARGUMENT))
    this.#parts = parts.map(partOf)
  }

  of(message: Message, exchange: Exchange): string {
    let key = this.#prefix
    for (const part of this.#parts) key += `/${part(message, exchange)}`
    return key
  }
}

function partOf(part: string): (message: Message, exchange: Exchange) => string {
  if (part === 'client') return (_message, exchange) => safe(exchange.principal.id)
  if (part === 'server') return (_message, exchange) => exchange.server
  if (part === 'tool') return message => safe(message.name)
  const path = part.slice(ARGUMENT.length).split('.')
  return message => argument(message, path)
}

/** Values of arguments never stand in a key as they are: they may be secrets. All calls without one share a key. */
function argument(message: Message, path: readonly string[]): string {
  const params = message.json().params
  let value: Json | undefined = isObject(params) ? params.arguments : undefined
  for (const name of path) value = isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined
  return value === undefined ? MISSING : digest(JSON.stringify(value))
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function safe(text: string): string {
  return SAFE.test(text) ? text : digest(text)
}

function digest(text: string): string {
  return `=${createHash('sha256')
    .update(text)
    .digest('base64url')
    .slice(0, Math.ceil((DIGEST_BYTES * 4) / 3))}`
}
