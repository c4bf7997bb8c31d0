import { stringText } from '../base/bytes.ts'
import { type Key, type Level, REF, SLOT, SLOTS } from './keys.ts'

/** What `walk` found in the message that is being scanned; read by `judge` at once and never kept. */
export const starts = new Int32Array(SLOTS)
export const ends = new Int32Array(SLOTS)

/** Keys that another parser might read differently; positions, -1 = none. */
export const twins = {
  /** The first one anywhere but in `params.ref`, and what it is. */
  at: -1,
  key: '',
  /** The first one in `params.ref`, which matters for `completion/complete` only. */
  refAt: -1,
  /** Whether the id itself is in doubt. */
  id: false,
}

export function forget(): void {
  for (let slot = 0; slot < SLOTS; slot++) starts[slot] = -1
  twins.at = -1
  twins.refAt = -1
  twins.id = false
}

export function noteTwin(level: Level, key: Key, at: number): void {
  if (level === REF) {
    if (twins.refAt < 0) twins.refAt = at
    return
  }
  if (key.slot === SLOT.id) twins.id = true
  if (twins.at >= 0) return
  twins.at = at
  twins.key = key.text
}

export function has(slot: number): boolean {
  return (starts[slot] as number) >= 0
}

/** A slot's value when it is a string, decoded; else `''`. */
export function textAt(bytes: Buffer, slot: number): string {
  const start = starts[slot] as number
  if (start < 0 || bytes[start] !== 0x22) return ''
  return stringText(bytes, start + 1, (ends[slot] as number) - 1)
}

/** A slot's value as it is written. */
export function sourceAt(bytes: Buffer, slot: number): string {
  return bytes.toString('utf8', starts[slot] as number, ends[slot] as number)
}

/** A JSON string, quotes included. */
export function decode(bytes: Buffer, start: number, end: number): string {
  return JSON.parse(bytes.toString('utf8', start, end)) as string
}
