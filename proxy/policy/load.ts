import { dirname, resolve } from 'node:path'
import type { Diagnostic } from '../base/diagnostic.ts'
import { readYaml } from '../base/read-yaml.ts'
import { validate } from '../base/validate.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import { policySchema, type RawPolicy } from './schema.ts'

/** One policy file, or one part of `sluice.yaml`, checked by the schema. */
export interface PolicyPart {
  readonly source: YamlSource
  readonly raw: RawPolicy
  /** Where relative paths in it start. */
  readonly baseDir: string
}

export interface LoadedPolicies {
  /** In the order in which they count: a file's includes stand before it. */
  readonly parts: readonly PolicyPart[]
  /** Every file that was looked for, absolute; also those that were not there. */
  readonly files: readonly string[]
  readonly diagnostics: readonly Diagnostic[]
}

/** The most files that includes may bring in. */
const MAX_POLICY_FILES = 1000

/** Reads policy files with what they include. A file that is named more than once counts once, at its first place. */
export function loadPolicies(
  files: readonly string[],
  inline: readonly YamlSource[],
  env: NodeJS.ProcessEnv,
): LoadedPolicies {
  const loader = new Loader(env)
  for (const source of inline) loader.add(source, [resolve(source.file)])
  for (const file of files) loader.addFile(file, [])
  return { parts: loader.parts, files: [...loader.files], diagnostics: loader.diagnostics }
}

/** The names of the interceptors that these parts use. */
export function usedInterceptors(parts: readonly PolicyPart[]): ReadonlySet<string> {
  const items = parts.flatMap(({ raw }) => raw.interceptors ?? [])
  return new Set(items.map(item => (typeof item === 'string' ? item : item.use)))
}

class Loader {
  readonly parts: PolicyPart[] = []
  readonly files = new Set<string>()
  readonly diagnostics: Diagnostic[] = []
  readonly #env: NodeJS.ProcessEnv

  constructor(env: NodeJS.ProcessEnv) {
    this.#env = env
  }

  /** @param within the absolute names of the files that include this one, outermost first */
  addFile(file: string, within: readonly string[]): void {
    const absolute = resolve(file)
    if (this.files.has(absolute)) return
    this.files.add(absolute)
    this.add(readYaml(file, this.#env), [...within, absolute])
  }

  add(source: YamlSource, chain: readonly string[]): void {
    this.diagnostics.push(...source.diagnostics)
    if (source.diagnostics.length > 0) return
    // An empty file is an empty policy.
    const { value, diagnostics } = validate(source, source.value === null ? policySchema.nullable() : policySchema)
    this.diagnostics.push(...diagnostics)
    const raw = value ?? policySchema.parse({})
    const baseDir = dirname(resolve(source.file))
    for (const [i, include] of includesOf(raw, diagnostics).entries()) {
      this.#include(source, i, resolve(baseDir, include), chain)
    }
    if (diagnostics.length === 0) this.parts.push({ source, raw, baseDir })
  }

  #include(source: YamlSource, index: number, absolute: string, chain: readonly string[]): void {
    const path = Array.isArray(source.get(['include'])) ? ['include', index] : ['include']
    const at = chain.indexOf(absolute)
    if (at !== -1) {
      const cycle = [...chain.slice(at), absolute].join(' -> ')
      this.diagnostics.push(source.diagnostic(path, `a cycle: ${cycle}`))
    } else if (this.files.size >= MAX_POLICY_FILES) {
      this.diagnostics.push(source.diagnostic(path, `more than ${MAX_POLICY_FILES} policy files`))
    } else {
      this.#addIncluded(source, path, absolute, chain)
    }
  }

  /** A file that is not there is the mistake of the line that names it. */
  #addIncluded(source: YamlSource, path: (string | number)[], absolute: string, chain: readonly string[]): void {
    const before = this.diagnostics.length
    this.addFile(absolute, chain)
    const [problem] = this.diagnostics.slice(before)
    if (problem?.file !== absolute || problem.line !== 0) return
    this.diagnostics.splice(before, 1, source.diagnostic(path, `${absolute}: ${problem.text}`))
  }
}

/** A file that is wrong elsewhere is not followed: its includes may be wrong too. */
function includesOf(raw: RawPolicy, diagnostics: readonly Diagnostic[]): readonly string[] {
  return diagnostics.length === 0 ? raw.include : []
}
