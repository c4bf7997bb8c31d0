import type { Json } from './json.ts'

type Reviver = (key: string, value: unknown, context: { readonly source?: string }) => unknown
const parse = JSON.parse as (text: string, reviver?: Reviver) => Json
const rawJson = (JSON as unknown as { rawJSON(text: string): Json }).rawJSON

/**
 * Numbers that `JSON.stringify` may not write as they were: too many digits, an end of zeros, an exponent, a minus zero. What
 * begins with a quote is none: every message has a `"2.0"`.
 */
const INEXACT = /[\d.]{16}|(?<!"\d*)\.\d*0(?!\d)|\d[eE]|-0|\.0{6}/

/**
 * Parses JSON so that `JSON.stringify` gives every number back as it was: one that would change (`9007199254740993`,
 * `1.0`) stands as a `JSON.rawJSON` object, which is no number to calculate with.
 * @param text JSON, or its UTF-8
 * @throws SyntaxError when it is none
 */
export function parseExact(text: string | Uint8Array): Json {
  const given = typeof text === 'string' ? text : Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString()
  return INEXACT.test(given) ? parse(given, keep) : parse(given)
}

function keep(_key: string, value: unknown, context: { readonly source?: string }): unknown {
  const { source } = context
  if (typeof value !== 'number' || source === undefined) return value
  return JSON.stringify(value) === source ? value : rawJson(source)
}
