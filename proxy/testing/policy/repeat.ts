/** Longest text that one `$repeat` may make, in UTF-16 units. */
const MAX_LENGTH = 16 * 1024 * 1024

/**
 * Makes long texts of short ones: `{ $repeat: x, times: 30000 }` stands for thirty thousand of them. What limits do with
 * large messages can be tested so, and read.
 * @throws TypeError where one makes no sense
 */
export function expandRepeats(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(expandRepeats)
  if (typeof value !== 'object' || value === null) return value
  if ('$repeat' in value) return repeat(value as { $repeat: unknown; times?: unknown })
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, expandRepeats(one)]))
}

function repeat({ $repeat: text, times, ...others }: { $repeat: unknown; times?: unknown }): string {
  const right = typeof text === 'string' && Number.isInteger(times) && Object.keys(others).length === 0
  if (!right || (times as number) < 0) throw new TypeError('expected { $repeat: TEXT, times: NUMBER }')
  if (text.length * (times as number) > MAX_LENGTH) throw new TypeError(`$repeat: more than ${MAX_LENGTH} characters`)
  return text.repeat(times as number)
}
