import { type Json, type JsonObject, parseExact } from '#api'
import type { Merge } from './options.ts'

/** The single results that a merged one is made of, by the JSON text of what they are about. */
export type Parts = ReadonlyMap<string, Buffer>

const NOTHING: Parts = new Map()

/**
 * Takes a merged result apart. Numbers keep their digits. A thing that is there twice is not there: nobody knows which
 * one is meant.
 * @param text the `result` of the merged call, as JSON
 */
export function split(text: Uint8Array, rule: Merge['split']): Parts {
  const result = parseExact(text)
  const structured = isObject(result) ? result.structuredContent : undefined
  const whole = structured ?? textOf(result)
  const held = whole === undefined ? undefined : follow(whole, rule.path)
  if (held === undefined) return NOTHING
  const parts = new Map<string, Buffer>()
  const twice = new Set<string>()
  for (const [key, thing] of thingsIn(held, rule.key)) {
    if (parts.has(key)) twice.add(key)
    parts.set(key, single(thing, rule.under, structured !== undefined))
  }
  for (const key of twice) parts.delete(key)
  return parts
}

/** The first text of a result that is JSON. */
function textOf(result: Json): Json | undefined {
  const content = isObject(result) && Array.isArray(result.content) ? result.content : []
  for (const item of content) {
    if (!isObject(item) || item.type !== 'text' || typeof item.text !== 'string') continue
    try {
      return parseExact(item.text)
    } catch {
      // Prose: the next one may be what is looked for.
    }
  }
  return undefined
}

function follow(whole: Json, path: string | undefined): Json | undefined {
  let at: Json | undefined = whole
  for (const name of path === undefined ? [] : path.split('.')) {
    at = isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined
  }
  return at
}

function* thingsIn(held: Json, key: string | undefined): Generator<[string, Json]> {
  if (Array.isArray(held) && key !== undefined) {
    for (const thing of held) {
      const name = isObject(thing) && Object.hasOwn(thing, key) ? thing[key] : undefined
      if (name !== undefined) yield [JSON.stringify(name), thing]
    }
  } else if (isObject(held) && key === undefined) {
    for (const [name, thing] of Object.entries(held)) {
      yield [JSON.stringify(name), thing]
      // Members are named by strings, whatever the argument was.
      if (/^-?\d+$/.test(name)) yield [name, thing]
    }
  }
}

/** What the tool for one thing would have answered. */
function single(thing: Json, under: string | undefined, structured: boolean): Buffer {
  const value: Json = under === undefined ? thing : { [under]: thing }
  const content = [{ type: 'text', text: JSON.stringify(value) }]
  const result: JsonObject = structured ? { content, structuredContent: value } : { content }
  return Buffer.from(JSON.stringify(result))
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !isRaw(value)
}

const isRaw = (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON
