import type { Json, JsonObject } from '#api'
import { parts, valueAt } from './complaints.ts'
import type { Fault } from './engine.ts'

/** A text that stands where the schema wants a number or a boolean, and what it says. */
export interface Coercion {
  /** JSON pointer into the arguments. */
  readonly pointer: string
  readonly value: number | boolean
}

/** More are not made in one message. */
const MAX_COERCIONS = 100
const NUMBER = /^-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?$/
/** Digits that a double keeps. */
const EXACT_DIGITS = 15

/** What could be put in place of texts so that these faults vanish. Only what loses nothing: never a digit. */
export function coercions(faults: readonly Fault[], args: Json): Coercion[] {
  const found = new Map<string, Coercion>()
  for (const { keyword, instancePath, params } of faults) {
    if (keyword !== 'type' || found.has(instancePath) || found.size >= MAX_COERCIONS) continue
    const text = valueAt(args, instancePath)
    if (typeof text !== 'string') continue
    const value = coerce(text, [params['type']].flat())
    if (value !== null) found.set(instancePath, { pointer: instancePath, value })
  }
  return [...found.values()]
}

function coerce(text: string, types: readonly unknown[]): number | boolean | null {
  if (types.includes('boolean') && (text === 'true' || text === 'false')) return text === 'true'
  if (!types.includes('number') && !types.includes('integer')) return null
  if (!NUMBER.test(text) || text.replace(/[eE].*$/, '').replace(/[-.]|^-?0\.0*/g, '').length > EXACT_DIGITS) return null
  const number = Number(text)
  if (!Number.isFinite(number) || (!types.includes('number') && !Number.isInteger(number))) return null
  return number
}

/** Puts them in place. @param args changed */
export function applyCoercions(args: Json, list: readonly Coercion[]): void {
  for (const { pointer, value } of list) {
    const keys = parts(pointer)
    const last = keys.pop()
    let at: Json | undefined = args
    for (const key of keys) at = (at as JsonObject | undefined)?.[key]
    if (last !== undefined && typeof at === 'object' && at !== null) (at as JsonObject)[last] = value
  }
}
