import type { Clock } from '../../api/index.ts'
import type { Diagnostic } from '../../base/diagnostic.ts'
import type { ResolvedEntry } from '../resolve-entries.ts'
import type { When } from './when.ts'

export interface ReadWhens {
  /** Of the entries that have one. */
  readonly whens: ReadonlyMap<ResolvedEntry, When>
  readonly diagnostics: readonly Diagnostic[]
}

/** Reads the `when:` of every entry. The language is loaded only where there is one. */
export async function readWhens(entries: readonly ResolvedEntry[], clock: Clock): Promise<ReadWhens> {
  const whens = new Map<ResolvedEntry, When>()
  const diagnostics: Diagnostic[] = []
  const conditional = entries.filter(entry => entry.raw.when !== undefined)
  if (conditional.length === 0) return { whens, diagnostics }
  const { readWhen } = await import('./when.ts')
  for (const entry of conditional) {
    const path = [...entry.path, 'when']
    const { when, faults } = readWhen(entry.raw.when ?? '', clock)
    for (const { text, offset } of faults ?? []) diagnostics.push(entry.source.diagnostic(path, text, { offset }))
    if (when === undefined) continue
    whens.set(entry, when)
    if (when.variables.size > 0) continue
    const text = 'says nothing about the message: it is always true, or always false'
    diagnostics.push(entry.source.diagnostic(path, text, { severity: 'warning' }))
  }
  return { whens, diagnostics }
}
