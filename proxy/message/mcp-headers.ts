import { isUtf8 } from 'node:buffer'
import type { Json, JsonObject } from '../api/index.ts'

const PREFIX = '=?base64?'
const SUFFIX = '?='
const ODD = /[^\x20-\x7e]/

/** The member of `params` that a request's `Mcp-Name` header repeats; `''` where the method has none. */
export function mcpNameField(method: string): '' | 'name' | 'uri' | 'taskId' {
  switch (method) {
    case 'tools/call':
    case 'prompts/get':
      return 'name'
    case 'resources/read':
      return 'uri'
    case 'tasks/get':
    case 'tasks/update':
    case 'tasks/cancel':
      return 'taskId'
    default:
      return ''
  }
}

/** Whether a modern request of this method must carry `Mcp-Name` (MCP 2026-07-28, SEP-2243, SEP-2663). */
export function needsMcpName(method: string): boolean {
  return mcpNameField(method) !== ''
}

/**
 * The text that a `Mcp-Name` or `Mcp-Param-*` header value stands for (SEP-2243): the value itself, or what an exact,
 * lower-case `=?base64?…?=` holds. `null` when that is not strict base64 of valid UTF-8, and for a value with bytes beyond
 * visible ASCII, which may not stand in a field as they are: readers differ about the text they make.
 */
export function decodeHeaderValue(value: string): string | null {
  if (!looksEncoded(value)) return ODD.test(value) ? null : value
  const text = value.slice(PREFIX.length, -SUFFIX.length)
  const bytes = Buffer.from(text, 'base64')
  if (bytes.toString('base64') !== text || !isUtf8(bytes)) return null
  return bytes.toString()
}

/** The header value for a text: as it is where a header can carry it, else base64. */
export function encodeHeaderValue(value: string): string {
  if (isPlain(value) && !looksEncoded(value)) return value
  return `${PREFIX}${Buffer.from(value).toString('base64')}${SUFFIX}`
}

/**
 * Whether a `Mcp-Param-*` header says the same as the argument it repeats: strings by text, booleans as `true` and
 * `false`, numbers by value (`42.0` = `42`). An argument that is null, an array or an object has no header.
 */
export function sameParamValue(header: string, value: Json): boolean {
  const text = decodeHeaderValue(header)
  if (text === null) return false
  if (typeof value === 'string') return text === value
  if (typeof value === 'boolean') return text === (value ? 'true' : 'false')
  return typeof value === 'number' && isDecimal(text) && Number(text) === value
}

function looksEncoded(value: string): boolean {
  return value.length >= PREFIX.length + SUFFIX.length && value.startsWith(PREFIX) && value.endsWith(SUFFIX)
}

/** Visible ASCII and inner spaces: all else is lost or refused somewhere on the way. */
function isPlain(value: string): boolean {
  const last = value.length - 1
  for (let i = 0; i <= last; i++) {
    const c = value.charCodeAt(i)
    if (c < 0x20 || c > 0x7e || (c === 0x20 && (i === 0 || i === last))) return false
  }
  return true
}

function isDecimal(text: string): boolean {
  return /^-?\d{1,400}(\.\d{1,400})?$/.test(text)
}

/**
 * The header fields of a call by its tool's schema (mcp-wire: 2.6): properties that carry `x-mcp-header`, reached through
 * `properties` only, whose argument is there and not null. Names in lower case.
 */
export function paramFields(schema: Json | undefined, args: Json | undefined): [string, string | number | boolean][] {
  const found: [string, string | number | boolean][] = []
  collect(schema, args, found, 0)
  return found
}

function collect(
  schema: Json | undefined,
  value: Json | undefined,
  found: [string, string | number | boolean][],
  depth: number,
): void {
  const properties = isObject(schema) ? schema['properties'] : undefined
  if (!isObject(properties) || !isObject(value) || depth > 16) return
  for (const key of Object.keys(properties)) {
    const property = properties[key]
    const argument = Object.hasOwn(value, key) ? value[key] : undefined
    if (!isObject(property) || argument === undefined || argument === null) continue
    const header = property['x-mcp-header']
    if (typeof header === 'string' && typeof argument !== 'object') found.push([header.toLowerCase(), argument])
    else collect(property, argument, found, depth + 1)
  }
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
