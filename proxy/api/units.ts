import { z } from 'zod'

const DURATION_UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1000,
  mb: 1000 ** 2,
  gb: 1000 ** 3,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
}

/** The longest delay a timer of the runtime can wait, in milliseconds (about 24.8 days). */
export const MAX_DURATION_MS = 2 ** 31 - 1

/**
 * Milliseconds of `100ms`, `30s`, `1.5m`, `1h`, `1d`, `1h30m`; a bare number counts milliseconds.
 * @returns `null` when it is no duration, negative, or longer than a timer can wait
 */
export function parseDuration(value: string | number): number | null {
  const ms = typeof value === 'number' ? value : sumDuration(value)
  return ms !== null && ms >= 0 && ms <= MAX_DURATION_MS ? Math.round(ms) : null
}

function sumDuration(text: string): number | null {
  if (/^\d+$/.test(text)) return Number(text)
  if (!/^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/.test(text)) return null
  let total = 0
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (DURATION_UNITS[unit ?? ''] ?? 0)
  }
  return total
}

/**
 * Bytes of `512MiB`, `4KiB`, `10MB`, `1.5GiB`; a bare number counts bytes.
 * @returns `null` when it is no size, negative, or no safe integer
 */
export function parseByteSize(value: string | number): number | null {
  const bytes = typeof value === 'number' ? value : scaleSize(value)
  return bytes !== null && bytes >= 0 && Number.isSafeInteger(bytes) ? bytes : null
}

function scaleSize(text: string): number | null {
  const match = /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(text)
  if (match === null) return null
  const factor = match[2] === '' ? 1 : SIZE_UNITS[(match[2] ?? '').toLowerCase()]
  return factor === undefined ? null : Math.round(Number(match[1]) * factor)
}

/** `5m`, `1h30m`, `250ms`, as `parseDuration` reads it. */
export function formatDuration(ms: number): string {
  if (ms === 0) return '0ms'
  let rest = ms
  let text = ''
  for (const unit of ['d', 'h', 'm', 's', 'ms']) {
    const size = DURATION_UNITS[unit] ?? 1
    const count = Math.floor(rest / size)
    if (count > 0) text += `${count}${unit}`
    rest -= count * size
  }
  return text
}

const WHOLE_SIZES = [
  ['GiB', 1024 ** 3],
  ['GB', 1000 ** 3],
  ['MiB', 1024 ** 2],
  ['MB', 1000 ** 2],
  ['KiB', 1024],
  ['KB', 1000],
] as const

/** `4MiB`, `10MB`, `100B`, as `parseByteSize` reads it. */
export function formatByteSize(bytes: number): string {
  for (const [unit, size] of WHOLE_SIZES) {
    if (bytes >= size && bytes % size === 0) return `${bytes / size}${unit}`
  }
  return `${bytes}B`
}

const DURATION_PATTERN = '^(\\d+|(\\d+(\\.\\d+)?(ms|s|m|h|d))+)$'
const SIZE_PATTERN = '^\\d+(\\.\\d+)?\\s*([KkMmGg]?[Bb]|[KkMmGg][Ii][Bb])?$'

/** Schema of a duration, read into milliseconds. */
export function duration(): z.ZodType<number> {
  return scaled(parseDuration, DURATION_PATTERN, 'a duration such as 500ms, 30s, 5m or 1h')
}

/** Schema of a size, read into bytes. */
export function byteSize(): z.ZodType<number> {
  return scaled(parseByteSize, SIZE_PATTERN, 'a size such as 4KiB, 16MiB or 10MB')
}

function scaled(parse: (value: string | number) => number | null, pattern: string, what: string): z.ZodType<number> {
  const written = z.union([z.string().meta({ pattern }), z.number().meta({ minimum: 0 })], {
    error: `expected ${what}`,
  })
  return written.transform((value, context) => {
    const number = parse(value)
    if (number !== null) return number
    context.addIssue({ code: 'custom', message: `expected ${what}` })
    return z.NEVER
  }) as unknown as z.ZodType<number>
}
