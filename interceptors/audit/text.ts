import { hideUserInfo } from './secret-words.ts'

/** The longest name or reason that a line shows, in UTF-16 units; clients choose them. */
const MAX_TEXT = 1024
const MAX_REMEMBERED = 1024
const remembered = new Map<string, string>()

/** JSON text of a string that outsiders choose. */
export function quote(text: string): string {
  const clean = hideUserInfo(text.length > 8 * MAX_TEXT ? text.slice(0, 8 * MAX_TEXT) : text)
  return JSON.stringify(clean.length > MAX_TEXT ? `${clean.slice(0, MAX_TEXT)}…` : clean)
}

/** `quote` for the strings that come in every line: servers, methods, clients, entries. Remembers at most 1024. */
export function quoteName(text: string): string {
  const known = remembered.get(text)
  if (known !== undefined) return known
  const quoted = quote(text)
  if (remembered.size >= MAX_REMEMBERED) remembered.clear()
  remembered.set(text, quoted)
  return quoted
}

/** JSON text of a note's value; what is no scalar becomes `null`. */
export function scalar(value: unknown): string {
  if (typeof value === 'string') return quote(value)
  if (typeof value === 'boolean' || (typeof value === 'number' && Number.isFinite(value))) return String(value)
  return 'null'
}

let second = -1
let secondText = ''

/** `2026-11-21T10:22:31.004Z`, without making a Date for each line. */
export function isoTime(ms: number): string {
  const whole = Math.floor(ms / 1000)
  if (whole !== second) {
    second = whole
    secondText = new Date(whole * 1000).toISOString().slice(0, 20)
  }
  return `${secondText}${digits(Math.floor(ms - whole * 1000))}Z`
}

/** A number with at most three decimals, by integers: printing a double is what costs. */
export function decimal(value: number): string {
  const thousandths = Math.round(value * 1000)
  if (!(thousandths > 0)) return '0'
  const rest = thousandths % 1000
  const whole = (thousandths - rest) / 1000
  return rest === 0 ? `${whole}` : `${whole}.${digits(rest)}`
}

function digits(value: number): string {
  return value > 99 ? `${value}` : value > 9 ? `0${value}` : `00${value}`
}
