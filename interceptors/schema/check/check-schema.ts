import type { Json } from '#api'
import type { ToolSchema } from '../learn/tool.ts'
import type { Checker } from './checker.ts'
import type { Checkers } from './checkers.ts'
import { complaints, type Noun } from './complaints.ts'
import type { Fault } from './engine.ts'
import { Unusable } from './unusable.ts'

/** What became of a check. `null` = the value fits. */
export type Finding =
  | { readonly kind: 'faults'; readonly lines: readonly string[]; readonly faults: readonly Fault[] }
  | { readonly kind: 'unusable'; readonly why: string }

/** Checks a value against a schema of a tool. @param bytes size of the message it comes from */
export function checkSchema(
  checker: Checker,
  schema: ToolSchema,
  value: Json,
  bytes: number,
  noun: Noun,
): Finding | null {
  if (checker.problem !== '') return { kind: 'unusable', why: checker.problem }
  try {
    if (checker.isValid(value, bytes)) return null
    const faults = checker.faults(value, bytes)
    return { kind: 'faults', faults, lines: complaints(faults, value, noun, schema.members) }
  } catch (error) {
    if (error instanceof Unusable) return { kind: 'unusable', why: error.message }
    throw error
  }
}

export function checkerOf(checkers: Checkers, { key, schema }: ToolSchema): Checker {
  return checkers.get(key, schema)
}
