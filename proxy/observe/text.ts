import { scrub } from './redact.ts'

/** The longest method, name or reason that a line shows, in UTF-16 units; clients choose them. */
export const MAX_TEXT = 512

const MAX_QUOTED = 1024
const quotedNames = new Map<string, string>()

/** JSON text of a string that outsiders choose: bounded, and without the user part of a URL. */
export function quote(text: string): string {
  const clean = text.length > MAX_TEXT || text.includes('://') ? scrub(text) : text
  return JSON.stringify(clean.length > MAX_TEXT ? `${clean.slice(0, MAX_TEXT)}…` : clean)
}

/** JSON text of a note's value. Interceptors of users may hand over anything; what is no scalar becomes `null`. */
export function scalar(value: unknown): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return String(value)
  return typeof value === 'bigint' ? quote(String(value)) : 'null'
}

/** `quote` for strings that come again and again: servers, methods, entries. Remembers at most 1024 of them. */
export function quoteName(text: string): string {
  const known = quotedNames.get(text)
  if (known !== undefined) return known
  const quoted = quote(text)
  if (quotedNames.size >= MAX_QUOTED) quotedNames.clear()
  quotedNames.set(text, quoted)
  return quoted
}

let second = -1
let secondText = ''

/** `2026-11-21T10:22:31.004Z` of milliseconds since the epoch, without making a Date for each call. */
export function isoTime(ms: number): string {
  const whole = Math.floor(ms / 1000)
  if (whole !== second) {
    second = whole
    secondText = new Date(whole * 1000).toISOString().slice(0, 20)
  }
  return `${secondText}${threeDigits(Math.floor(ms - whole * 1000))}Z`
}

/** Milliseconds as a JSON number with at most three decimals, by integers: printing a double is what costs. */
export function decimalMs(ms: number): string {
  const micros = Math.round(ms * 1000)
  if (!(micros > 0)) return '0'
  const rest = micros % 1000
  const whole = (micros - rest) / 1000
  return rest === 0 ? `${whole}` : `${whole}.${threeDigits(rest)}`
}

function threeDigits(value: number): string {
  return value > 99 ? `${value}` : value > 9 ? `0${value}` : `00${value}`
}
