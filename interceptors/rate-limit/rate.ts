/** So much in such a time. */
export interface Rate {
  readonly limit: number
  readonly windowMs: number
}

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  second: 1000,
  minute: 60_000,
  hour: 3_600_000,
  day: 86_400_000,
}
const FACTORS: Readonly<Record<string, number>> = {
  '': 1,
  k: 1000,
  M: 1000 ** 2,
  KiB: 1024,
  MiB: 1024 ** 2,
  GiB: 1024 ** 3,
  KB: 1000,
  MB: 1000 ** 2,
  GB: 1000 ** 3,
}

/** `100/minute`, `10/15s`, `2M/day`, `50MiB/hour`. */
export const RATE_PATTERN =
  /^([1-9]\d{0,14})\s*(k|M|[KMG]i?B)?\s*\/\s*(?:([1-9]\d{0,8})\s*)?(ms|second|minute|hour|day|[smhd])$/

/** The longest window: what is counted by memory alone should not have to live longer. */
const MAX_WINDOW_MS = 31 * 86_400_000

/** @returns `null` when it is no rate, or one of more than 31 days */
export function parseRate(text: string): Rate | null {
  const match = RATE_PATTERN.exec(text)
  if (match === null) return null
  const [, amount, factor = '', count = '1', unit = ''] = match
  const limit = Number(amount) * (FACTORS[factor] ?? Number.NaN)
  const windowMs = Number(count) * (UNITS[unit] ?? Number.NaN)
  return Number.isSafeInteger(limit) && windowMs <= MAX_WINDOW_MS ? { limit, windowMs } : null
}
