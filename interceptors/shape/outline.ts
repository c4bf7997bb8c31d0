import type { Json } from '#api'
import { headOf } from './cut-text.ts'
import { isContainer } from './json.ts'

const MAX_DEPTH = 6
const MAX_KEYS = 40
const MAX_LINES = 200
const EXAMPLE_BYTES = 60

/**
 * What JSON holds, in a few lines: keys, kinds, counts, an example of each scalar. An array shows its first element.
 *
 *     items: array of 1240
 *       each: object of 3
 *         name: string, "sluice"
 */
export function outline(value: Json): string {
  const lines: string[] = []
  describe(value, '', 0, lines)
  if (lines.length >= MAX_LINES) lines.push('…')
  return lines.join('\n')
}

function describe(value: Json, label: string, depth: number, lines: string[]): void {
  if (lines.length >= MAX_LINES) return
  const lead = `${'  '.repeat(depth)}${label === '' ? '' : `${label}: `}`
  if (!isContainer(value)) {
    lines.push(`${lead}${scalar(value)}`)
    return
  }
  const isArray = Array.isArray(value)
  const parts: [string, Json][] = isArray ? value.slice(0, 1).map(first => ['each', first]) : Object.entries(value)
  lines.push(`${lead}${isArray ? 'array' : 'object'} of ${isArray ? value.length : parts.length}`)
  if (depth >= MAX_DEPTH) return
  for (const [key, part] of parts.slice(0, MAX_KEYS)) describe(part, oneLine(key), depth + 1, lines)
  if (parts.length > MAX_KEYS) lines.push(`${'  '.repeat(depth + 1)}… ${parts.length - MAX_KEYS} more`)
}

function scalar(value: Json): string {
  if (value === null) return 'null'
  if (typeof value !== 'string')
    return `${typeof value === 'object' ? 'number' : typeof value}, ${JSON.stringify(value)}`
  const text = value.length > 4 * EXAMPLE_BYTES ? value.slice(0, 4 * EXAMPLE_BYTES) : value
  const example = headOf(text, EXAMPLE_BYTES)
  return example === value
    ? `string, ${JSON.stringify(value)}`
    : `string of ${value.length}, ${JSON.stringify(example)}…`
}

function oneLine(key: string): string {
  return headOf(JSON.stringify(key).slice(1, -1), EXAMPLE_BYTES)
}
