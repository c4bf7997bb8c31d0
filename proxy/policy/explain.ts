import type { CompiledPolicy } from './compile.ts'

export interface Question {
  readonly server: string
  readonly method: string
  /** `''` = none. */
  readonly name: string
  readonly client: string
}

/** The chain that runs for a message, as text for people, ending in a line break. */
export function explain(_policy: CompiledPolicy, _question: Question): string {
  return ''
}
