import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { type Interceptor, isInterceptor } from '../api/index.ts'
import { type Diagnostic, LoadError } from '../base/diagnostic.ts'
import { suggest } from '../base/suggest.ts'
import { builtInCandidates, type Candidate, CUSTOM_DIR, customCandidates, folderVersion } from './discover.ts'
import { installModuleHooks, packageUrl, versionedUrl } from './module-hooks.ts'

/** One interceptor that a chain can name. */
export interface Entry {
  readonly interceptor: Interceptor
  /** `built-in`, or the file or package it came from. */
  readonly origin: string
}

export interface RegistryOptions {
  /** Folders of users' interceptors, absolute or relative to `baseDir`. */
  readonly dirs: readonly string[]
  /** Names of packages, resolved from `baseDir`. */
  readonly modules: readonly string[]
  readonly baseDir: string
  /** The built-in interceptors that are wanted; the others are known by name only. Left out = all. */
  readonly builtIns?: ReadonlySet<string>
}

/** Where a module is, and what people call it. */
interface Source {
  readonly url: string
  /** The file or package, for messages. */
  readonly label: string
  readonly builtIn: boolean
}

/** All interceptors that a policy can use, by name. Frozen: a reload makes a new one. */
export class Registry {
  readonly #entries: ReadonlyMap<string, Entry>
  /** Built-in ones that are there and were not wanted. */
  readonly #others: readonly string[]

  private constructor(entries: ReadonlyMap<string, Entry>, others: readonly string[]) {
    this.#entries = entries
    this.#others = others
  }

  /**
   * Finds and imports the built-in interceptors, those in `interceptors/custom`, in `dirs`, and the packages. Users'
   * modules that have changed since the last call are imported afresh.
   * @throws LoadError that names every module that cannot be used, and both files of a name that is taken twice
   */
  static async load(options: RegistryOptions): Promise<Registry> {
    installModuleHooks()
    const problems: Diagnostic[] = []
    const entries = new Map<string, Entry>()
    const { wanted = [], other = [] } = Object.groupBy(builtInCandidates(), ({ name }) =>
      options.builtIns?.has(name) === false ? 'other' : 'wanted',
    )
    const others = other.map(({ name }) => name)
    const sources = [...wanted.map(candidate => fileSource(candidate, '')), ...findSources(options, problems)]
    // One after the other: the order of problems, and of side effects in modules, stays the same.
    for (const source of sources) await addModule(source, entries, others, problems)
    if (problems.length > 0) throw new LoadError(problems)
    return new Registry(entries, others)
  }

  /** Without any module: for tests. */
  static of(interceptors: readonly Interceptor[]): Registry {
    return new Registry(new Map(interceptors.map(one => [one.name, { interceptor: one, origin: 'built-in' }])), [])
  }

  get(name: string): Entry | undefined {
    return this.#entries.get(name)
  }

  /** By name, alphabetical. */
  list(): readonly Entry[] {
    return [...this.#entries.values()].sort((a, b) => (a.interceptor.name < b.interceptor.name ? -1 : 1))
  }

  /** Those that come with the proxy. */
  builtIns(): Registry {
    return new Registry(new Map([...this.#entries].filter(([, entry]) => entry.origin === 'built-in')), this.#others)
  }

  /** The names of all, alphabetical. */
  names(): readonly string[] {
    return [...this.#entries.keys(), ...this.#others].sort()
  }

  /** The name that a misspelt one most likely means. */
  nearest(name: string): string | null {
    return suggest(name, this.names())
  }
}

/** Those that are the users'. */
function findSources(options: RegistryOptions, problems: Diagnostic[]): Source[] {
  const sources: Source[] = []
  const dirs = options.dirs.map(dir => resolve(options.baseDir, dir))
  if (existsSync(CUSTOM_DIR) && !dirs.includes(CUSTOM_DIR)) dirs.unshift(CUSTOM_DIR)
  for (const dir of new Set(dirs)) {
    try {
      const version = folderVersion(dir)
      sources.push(...customCandidates(dir).map(candidate => fileSource(candidate, version)))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      const text =
        code === 'ENOENT' ? 'no such folder' : code === 'ENOTDIR' ? 'expected a folder, got a file' : String(code)
      problems.push(problem(dir, `interceptor_dirs: ${text}`))
    }
  }
  for (const name of new Set(options.modules)) {
    sources.push({ url: packageUrl(name, resolve(options.baseDir)), label: name, builtIn: false })
  }
  return sources
}

function fileSource({ file, builtIn }: Candidate, version: string): Source {
  return { url: builtIn ? pathToFileURL(file).href : versionedUrl(file, version), label: file, builtIn }
}

async function addModule(
  source: Source,
  entries: Map<string, Entry>,
  others: readonly string[],
  problems: Diagnostic[],
): Promise<void> {
  let exported: unknown
  try {
    exported = ((await import(source.url)) as { default?: unknown }).default
  } catch (error) {
    problems.push(importProblem(source.label, error))
    return
  }
  const found = Array.isArray(exported) ? exported : [exported]
  for (const one of found) addInterceptor(one, source, entries, others, problems)
}

function addInterceptor(
  one: unknown,
  source: Source,
  entries: Map<string, Entry>,
  others: readonly string[],
  problems: Diagnostic[],
): void {
  if (!isInterceptor(one)) {
    const text = 'no interceptor: expected "export default defineInterceptor({ … })", or a list of those'
    problems.push(problem(source.label, text))
    return
  }
  const taken = entries.get(one.name)?.origin ?? (others.includes(one.name) ? 'built-in' : undefined)
  if (taken === undefined) {
    entries.set(one.name, { interceptor: one, origin: source.builtIn ? 'built-in' : source.label })
    return
  }
  const other = taken === 'built-in' ? 'a built-in interceptor' : taken
  problems.push(
    problem(source.label, `interceptor "${one.name}" is there already, from ${other}: rename one of the two`),
  )
}

function problem(file: string, text: string): Diagnostic {
  return { file, line: 0, column: 0, severity: 'error', text }
}

/** A module that throws, with the line of its own where it did, as far as the stack tells. */
function importProblem(label: string, error: unknown): Diagnostic {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error))
  const frames = (stack ?? '').split(/\s+/).filter(word => word.includes(pathToFileURL(label).href))
  const line = Number(/:(\d+)(?::\d+)?\)?$/.exec(frames[0] ?? '')?.[1] ?? 0)
  const first = message.split('\n', 1)[0] ?? ''
  return { ...problem(label, `cannot be imported: ${name}: ${first}`), line }
}
