import type { AccessControl, Environment } from '../api/index.ts'
import { type Diagnostic, inOrder, LoadError } from '../base/diagnostic.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import { mergeAccessControl } from './access-control.ts'
import { type ChainEntry, chainEntry, hooksWithoutLook } from './chain-entry.ts'
import { closeEntries, createHooks } from './entry-life.ts'
import { createEnvironment, type Services } from './environment.ts'
import { loadPolicies, usedInterceptors } from './load.ts'
import type { Registry } from './registry.ts'
import { type ResolvedEntry, resolveEntries } from './resolve-entries.ts'
import { PolicyTable } from './table.ts'
import { accessWarnings, entryWarnings, hookWarnings, unreachableWarnings } from './warnings.ts'
import { type ReadWhens, readWhens } from './when/read-whens.ts'
import type { When } from './when/when.ts'

export type { Services } from './environment.ts'

export interface PolicyInput {
  /** Policy files in order; none, and nothing inline = pass-through. */
  readonly files: readonly string[]
  /** Parts of `sluice.yaml` (`Config.inlinePolicies`), which stand before the files. */
  readonly inline?: readonly YamlSource[]
  /** Names of the servers that are configured; none = not known, so nothing is said about them. */
  readonly servers: readonly string[]
  /** Or what loads one, for the names of the interceptors that the policy uses; may reject with a LoadError. */
  readonly registry: Registry | ((used: ReadonlySet<string>) => Promise<Registry>)
  readonly services: Services
  readonly env: NodeJS.ProcessEnv
  /** Whether warnings are errors. */
  readonly strict: boolean
  readonly generation: number
}

export interface CompiledPolicy {
  readonly table: PolicyTable
  /** The chain in file order, without what is off. */
  readonly chain: readonly ChainEntry[]
  /** Names of the entries with `mode: off`. */
  readonly off: readonly string[]
  readonly warnings: readonly Diagnostic[]
  /** Every file that was read, includes too; absolute. */
  readonly files: readonly string[]
  readonly accessControl: AccessControl | null
}

/** A policy that does not compile; tells also which files to watch for its repair. */
export class PolicyError extends LoadError {
  readonly files: readonly string[]

  constructor(diagnostics: readonly Diagnostic[], files: readonly string[]) {
    super(inOrder(diagnostics))
    this.name = 'PolicyError'
    this.files = files
  }
}

/** @throws PolicyError, a LoadError, with every problem found; whatever was created by then is closed */
export async function compilePolicies(input: PolicyInput): Promise<CompiledPolicy> {
  const { parts, files, diagnostics } = loadPolicies(input.files, input.inline ?? [], input.env)
  const access = mergeAccessControl(parts, input.servers)
  const registry = typeof input.registry === 'function' ? await input.registry(usedInterceptors(parts)) : input.registry
  const { entries, diagnostics: entryProblems } = resolveEntries(parts, registry)
  const active = entries.filter(entry => entry.raw.mode !== 'off')
  const { whens, diagnostics: whenProblems } = await readWhens(entries, input.services.clock)
  const found = [...diagnostics, ...access.diagnostics, ...entryProblems, ...whenProblems]
  // Only a policy that was read whole can be told to lack something.
  if (diagnostics.length === 0 && entryProblems.length === 0) found.push(...checkAccess(active, access.source))
  for (const entry of entries) found.push(...entryWarnings(entry, input.servers))
  refuse(found, files, false)
  const chain = await createChain(active, whens, input, access.accessControl, found)
  found.push(...unreachableWarnings(active, chain, access.accessControl))
  try {
    refuse(found, files, input.strict)
  } catch (error) {
    await closeEntries(chain)
    throw error
  }
  const { generation, servers } = input
  return Object.freeze({
    table: new PolicyTable({ generation, servers, entries: chain }),
    chain,
    off: entries.filter(entry => entry.raw.mode === 'off').map(entry => entry.name),
    warnings: inOrder(found),
    files,
    accessControl: access.accessControl,
  })
}

/** @throws PolicyError when there is an error, or, if strict, a warning */
function refuse(found: readonly Diagnostic[], files: readonly string[], strict: boolean): void {
  if (strict && found.length > 0) {
    throw new PolicyError(
      found.map(problem => ({ ...problem, severity: 'error' as const })),
      files,
    )
  }
  const errors = found.filter(problem => problem.severity === 'error')
  if (errors.length > 0) throw new PolicyError(errors, files)
}

/** Rules that nobody enforces are worse than none. */
function checkAccess(active: readonly ResolvedEntry[], source: YamlSource | null): Diagnostic[] {
  if (source === null) return []
  const guards = active.filter(entry => entry.interceptor.name === 'access' && entry.raw.mode === 'enforce')
  if (guards.length === 0) {
    const text = 'nothing enforces these rules: put "- access" into "interceptors" (in mode enforce)'
    return [source.diagnostic(['access_control'], text, { at: 'key' })]
  }
  return [...earlyAnswers(active, guards), ...(guards.length === 1 ? guards.flatMap(accessWarnings) : [])]
}

/** What answers before access is decided answers those who have no right to it. */
function earlyAnswers(active: readonly ResolvedEntry[], guards: readonly ResolvedEntry[]): Diagnostic[] {
  const last = guards.reduce((place, guard) => Math.max(place, active.indexOf(guard)), -1)
  const early = active.filter(
    (entry, place) => place < last && entry.interceptor.answers && entry.raw.mode === 'enforce',
  )
  return early.map(({ source, path, name }) => {
    return source.diagnostic(
      path,
      `"${name}" answers requests by itself: put it behind "access", or it answers those who are denied`,
    )
  })
}

/** Creates every entry, also behind one that fails, so that all problems are told at once. */
async function createChain(
  active: readonly ResolvedEntry[],
  whens: ReadWhens['whens'],
  input: PolicyInput,
  accessControl: AccessControl | null,
  found: Diagnostic[],
): Promise<ChainEntry[]> {
  const chain: ChainEntry[] = []
  for (const [slot, entry] of active.entries()) {
    const made = await createEntry(entry, slot, whens.get(entry) ?? null, input, accessControl, found)
    if (made !== null) chain.push(made)
  }
  return chain
}

async function createEntry(
  entry: ResolvedEntry,
  slot: number,
  when: When | null,
  { services, servers }: PolicyInput,
  accessControl: AccessControl | null,
  found: Diagnostic[],
): Promise<ChainEntry | null> {
  const { name, interceptor, matcher, raw, source, path, baseDir } = entry
  const applies: Environment['applies'] = (...message) => matcher.fits(...message)
  try {
    const environment = createEnvironment(name, { services, servers, accessControl, baseDir, applies })
    const hooks = await createHooks(interceptor, entry.options, environment)
    const made = chainEntry({ slot, name, interceptor, matcher, raw, when }, hooks)
    for (const kind of hooksWithoutLook(interceptor, hooks)) {
      found.push(source.diagnostic(path, `"${interceptor.name}" has a ${kind} hook, but no look for it in "looks"`))
    }
    found.push(...hookWarnings(entry, made))
    return made
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    found.push(source.diagnostic(path, `"${interceptor.name}" cannot start: ${text}`))
    return null
  }
}
