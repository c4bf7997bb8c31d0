import { createHmac } from 'node:crypto'
import type { Json, JsonObject } from '../api/index.ts'

/** Words that say nothing about anybody: what tools take for options. */
const WORDS = new Set(
  (
    'true false yes no on off all any none null asc desc ascending descending json text html markdown csv xml yaml plain ' +
    'open closed low medium high debug info notice warning warn error critical user assistant utf-8 base64 ' +
    'get post put patch delete head list create read update accept decline cancel'
  ).split(' '),
)
const SECRET_KEY =
  /(?:password|passwd|passphrase|secret|token|apikey|authorization|cookie|credential|privatekey|pwd|pass|auth|bearer|dsn)s?$/
const NOT_LETTERS = /[^a-z0-9]/g
const REDACTED = '***REDACTED***'
const MAX_DEPTH = 200
const HASH_LENGTH = 24
/** Numbers with more digits than this may name somebody. */
const MAX_NUMBER = 99_999
const SCHEME = /^[a-z][a-z0-9+.-]{1,15}:\/\//

/** Members of messages whose texts are words of the protocol, where nobody's values are below. */
const PROTOCOL_KEYS = new Set([
  ...[
    'jsonrpc',
    'method',
    'type',
    'role',
    'mimeType',
    'level',
    'action',
    'protocolVersion',
    'resultType',
    'cacheScope',
  ],
  ...['io.modelcontextprotocol/protocolVersion', 'progressToken', 'mode', 'code', 'status'],
])
const PROTOCOL_WORD = /^[A-Za-z0-9_.+/-]{1,64}$/
/** Members that hold what people and tools say. */
const FREE_KEYS = new Set(['arguments', 'structuredContent', 'text', 'data', 'blob', 'inputResponses'])

/**
 * Takes the values out of messages and leaves their shape: keys, types, lengths, names of tools and methods, and words that
 * are options and not values. The same text always becomes the same placeholder.
 */
export class Redactor {
  /** How many values were replaced since it was last set to 0. */
  replaced = 0
  readonly #hashKey: string
  readonly #closed: boolean

  /**
   * @param hashKey `''` = placeholders of the same length; else equal texts can be told apart: HMAC-SHA-256 by this key
   * @param closed for messages that are known to hold something sensitive: keys that people and tools choose, options, and
   * what servers say about their tools are not kept either
   */
  constructor(hashKey: string, closed = false) {
    this.#hashKey = hashKey
    this.#closed = closed
  }

  /**
   * @param method of the message, or of what it answers
   * @param options texts that the tool's schema names as options
   */
  message(value: Json, method: string, options: ReadonlySet<string>): Json {
    if (!isObject(value)) return this.#free(value, options, 0)
    const copy: JsonObject = {}
    for (const [key, item] of Object.entries(value)) {
      if (key === 'params') copy[key] = this.#params(item, method, options)
      else if (key === 'result' && TELLS_OF_TOOLS.has(method) && !this.#closed) copy[key] = item
      else copy[key] = this.#member(key, item, options, 1)
    }
    return copy
  }

  /** A text that is nobody's business. */
  text(text: string): string {
    return this.#text(text, 0)
  }

  #params(value: Json, method: string, options: ReadonlySet<string>): Json {
    const copy = this.#tree(value, options, 1)
    // Names of tools and prompts are what rules are about.
    const keepsName = method === 'tools/call' || method === 'prompts/get'
    if (keepsName && isObject(copy) && isObject(value) && value['name'] !== undefined) copy['name'] = value['name']
    return copy
  }

  /** Inside of the protocol's own structures. */
  #tree(value: Json, options: ReadonlySet<string>, depth: number): Json {
    if (depth > MAX_DEPTH) return REDACTED
    if (Array.isArray(value)) return value.map(item => this.#tree(item, options, depth + 1))
    if (!isObject(value)) return this.#free(value, options, depth)
    const copy: JsonObject = {}
    for (const [key, item] of Object.entries(value)) copy[key] = this.#member(key, item, options, depth + 1)
    return copy
  }

  #member(key: string, value: Json, options: ReadonlySet<string>, depth: number): Json {
    if (
      PROTOCOL_KEYS.has(key) &&
      (typeof value === 'number' || (typeof value === 'string' && PROTOCOL_WORD.test(value)))
    ) {
      return value
    }
    if (isSecret(key)) return this.#hide(value)
    return FREE_KEYS.has(key) ? this.#free(value, options, depth) : this.#tree(value, options, depth)
  }

  /** Where everything is a value. */
  #free(value: Json, options: ReadonlySet<string>, depth: number): Json {
    if (depth > MAX_DEPTH) return REDACTED
    if (typeof value === 'string') return this.#isOption(value, options) ? value : this.#text(value, depth)
    if (typeof value === 'number') return this.#number(value)
    if (Array.isArray(value)) return value.map(item => this.#free(item, options, depth + 1))
    if (!isObject(value)) return value
    const copy: JsonObject = {}
    for (const [key, item] of Object.entries(value)) {
      copy[this.#key(key)] = isSecret(key) ? this.#hide(item) : this.#free(item, options, depth + 1)
    }
    return copy
  }

  #isOption(text: string, options: ReadonlySet<string>): boolean {
    return !this.#closed && (options.has(text) || WORDS.has(text))
  }

  /** Keys that become alike become one. */
  #key(key: string): string {
    return this.#closed ? this.#text(key, MAX_DEPTH) : key
  }

  #hide(value: Json): Json {
    if (value === null) return null
    this.replaced++
    return REDACTED
  }

  #number(value: number): number {
    if (Math.abs(value) <= MAX_NUMBER && Number.isInteger(value * 100)) return value
    this.replaced++
    const shape = Number(String(value).replace(/\d/g, '1'))
    return Number.isFinite(shape) ? shape : 1
  }

  #text(text: string, depth: number): string {
    if (text === '') return text
    const inner = innerJson(text)
    if (inner !== undefined) return JSON.stringify(this.#free(inner, NO_OPTIONS, depth + 1))
    this.replaced++
    if (this.#hashKey !== '') {
      return `h:${createHmac('sha256', this.#hashKey).update(text).digest('hex').slice(0, HASH_LENGTH)}`
    }
    const scheme = SCHEME.exec(text)?.[0] ?? ''
    return scheme + shapeOf(text.slice(scheme.length))
  }
}

/** Lists of tools and prompts, and what a server says of itself: rules are checked against them, and no user wrote them. */
const TELLS_OF_TOOLS = new Set(['tools/list', 'prompts/list', 'initialize', 'server/discover'])
const NO_OPTIONS: ReadonlySet<string> = new Set()

/** The same length, and what kind of character stood where. */
function shapeOf(text: string): string {
  return text
    .replace(/[0-9]/g, '1')
    .replace(/[A-Z]/g, 'X')
    .replace(/[^\x20-\x40X\x5b-\x60\x7b-\x7e\n\r\t]/g, 'x')
}

function isSecret(key: string): boolean {
  return SECRET_KEY.test(key.toLowerCase().replace(NOT_LETTERS, ''))
}

/** JSON inside of a text, as tools answer with. */
function innerJson(text: string): Json | undefined {
  if (!/^\s{0,64}[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text) as Json
  } catch {
    return undefined
  }
}

/** Most options of a tool that are kept. */
const MAX_OPTIONS = 1000

/** The texts that a tool's schema names as options (`enum`, `const`), at any depth. */
export function optionsOf(schema: Json | undefined): Set<string> {
  const found = new Set<string>()
  collect(schema, found, 0)
  return found
}

function collect(schema: Json | undefined, found: Set<string>, depth: number): void {
  if (typeof schema !== 'object' || schema === null || depth > 20 || found.size >= MAX_OPTIONS) return
  if (!Array.isArray(schema)) {
    for (const option of [schema['enum'], schema['const']].flat()) if (typeof option === 'string') found.add(option)
  }
  for (const below of Object.values(schema)) collect(below, found, depth + 1)
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
