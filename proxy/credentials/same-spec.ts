import { Secret } from '../base/secret.ts'

/** Whether two parts of a configuration say the same, secrets included. Plain data, Maps and Secrets. */
export function sameSpec(a: unknown, b: unknown): boolean {
  if (a === b) return true
  if (a instanceof Secret) return b instanceof Secret && a.equals(b)
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return false
  const [left, right] = [entriesOf(a), entriesOf(b)]
  if (left.length !== right.length) return false
  const others = new Map(right)
  return left.every(([key, value]) => others.has(key) && sameSpec(value, others.get(key)))
}

function entriesOf(value: object): [unknown, unknown][] {
  return value instanceof Map ? [...value] : Object.entries(value)
}
