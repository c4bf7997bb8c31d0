import type { Interceptor } from '../api/index.ts'
import type { Diagnostic } from '../base/diagnostic.ts'
import { validate } from '../base/validate.ts'
import type { Path, YamlSource } from '../base/yaml-source.ts'
import type { PolicyPart } from './load.ts'
import { Matcher } from './match.ts'
import type { Registry } from './registry.ts'
import type { RawChainEntry } from './schema.ts'

/** A chain entry that is known to be good, before its `create`. */
export interface ResolvedEntry {
  readonly name: string
  readonly raw: RawChainEntry
  readonly interceptor: Interceptor
  readonly options: unknown
  readonly matcher: Matcher
  readonly source: YamlSource
  readonly path: Path
  readonly baseDir: string
}

export interface ResolvedEntries {
  /** In chain order; those with `mode: off` too. */
  readonly entries: readonly ResolvedEntry[]
  readonly diagnostics: readonly Diagnostic[]
}

/** Looks up every `use`, checks every `options`, gives every entry a name of its own. */
export function resolveEntries(parts: readonly PolicyPart[], registry: Registry): ResolvedEntries {
  const entries: ResolvedEntry[] = []
  const diagnostics: Diagnostic[] = []
  const names = new Names()
  for (const part of parts) {
    for (const [index, item] of (part.raw.interceptors ?? []).entries()) {
      const entry = resolveEntry(part, index, item, registry, names, diagnostics)
      if (entry !== null) entries.push(entry)
    }
  }
  return { entries, diagnostics }
}

function resolveEntry(
  part: PolicyPart,
  index: number,
  item: string | RawChainEntry,
  registry: Registry,
  names: Names,
  diagnostics: Diagnostic[],
): ResolvedEntry | null {
  const { source, baseDir } = part
  const path = ['interceptors', index]
  const raw: RawChainEntry = typeof item === 'string' ? { use: item, mode: 'enforce', answer: 'auto' } : item
  const use = typeof item === 'string' ? path : [...path, 'use']
  const found = registry.get(raw.use)
  if (found === undefined) {
    diagnostics.push(source.diagnostic(use, unknownInterceptor(raw.use, registry)))
    return null
  }
  const { interceptor } = found
  const name = names.take(raw)
  if (name === null) {
    const text = `another entry is named "${raw.name}": names of entries must differ`
    diagnostics.push(source.diagnostic([...path, 'name'], text))
    return null
  }
  const options = checkOptions(source, path, raw, interceptor, diagnostics)
  return { name, raw, interceptor, options, matcher: new Matcher(raw.match ?? {}), source, path, baseDir }
}

function unknownInterceptor(use: string, registry: Registry): string {
  const near = registry.nearest(use)
  if (near !== null) return `unknown interceptor "${use}", did you mean "${near}"?`
  const names = registry.names()
  return `unknown interceptor "${use}"${names.length === 0 ? '' : `; there are: ${names.join(', ')}`}`
}

function checkOptions(
  source: YamlSource,
  path: Path,
  raw: RawChainEntry,
  interceptor: Interceptor,
  diagnostics: Diagnostic[],
): unknown {
  const given = raw.options == null ? source.absent([...path, 'options'], {}) : source.sub([...path, 'options'])
  try {
    const { value, diagnostics: problems } = validate(given, interceptor.options)
    diagnostics.push(...problems)
    return value
  } catch (error) {
    // A schema may hold code of its author: refinements that throw, or that are asynchronous.
    diagnostics.push(given.diagnostic([], `cannot be checked: ${(error as Error).message}`))
    return null
  }
}

/** `jq`, `jq#2`, `jq#3` where people gave no names. */
class Names {
  readonly #taken = new Set<string>()

  /** @returns `null` when the name is taken */
  take(raw: RawChainEntry): string | null {
    let name = raw.name ?? raw.use
    if (raw.name === undefined) {
      for (let i = 2; this.#taken.has(name); i++) name = `${raw.use}#${i}`
    }
    if (this.#taken.has(name)) return null
    this.#taken.add(name)
    return name
  }
}
