import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { LoadError } from '../../base/diagnostic.ts'
import { readYaml } from '../../base/read-yaml.ts'
import { validate } from '../../base/validate.ts'
import { type Config, defaultConfig } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import { loadPolicies } from '../../policy/load.ts'
import { testFileSchema } from '../../policy/test-schema.ts'
import type { Suite, TestSource } from '../../testing/policy/suite.ts'
import { isConfig } from '../check.ts'
import { loadRegistry } from '../compile-once.ts'
import { UsageError } from '../usage-error.ts'
import { pathText } from './report.ts'

const TEST_FILE = /\.test\.ya?ml$/
const YAML_FILE = /\.ya?ml$/

export interface Found {
  readonly suites: readonly Suite[]
  /** Every file that was read, absolute: what to watch. */
  readonly files: readonly string[]
}

/** What the paths on the command line mean; absolute. */
interface Paths {
  readonly configs: Set<string>
  readonly policies: Set<string>
  readonly tests: Set<string>
}

/**
 * The policies to test, each with its `tests:` and those of `NAME.test.yaml` beside it. A folder stands for the policies,
 * configurations and test files in it; a configuration for its policies as one chain, with its servers.
 * @throws LoadError, UsageError
 */
export async function findSuites(paths: readonly string[], interceptorDirs: readonly string[]): Promise<Found> {
  const finder = new Finder(interceptorDirs.map(dir => resolve(dir)))
  await finder.find(sort(paths))
  return { suites: finder.suites, files: [...finder.files] }
}

class Finder {
  readonly suites: Suite[] = []
  readonly files = new Set<string>()
  readonly #interceptorDirs: readonly string[]

  constructor(interceptorDirs: readonly string[]) {
    this.#interceptorDirs = interceptorDirs
  }

  async find({ configs, policies, tests }: Paths): Promise<void> {
    const configured = new Set<string>()
    for (const file of configs) {
      const config = loadConfig(file, { env: process.env, allowNoServers: true })
      for (const policy of config.policies) configured.add(policy)
      await this.#add(file, config, config.policies, [])
    }
    const named = new Map([...policies].map((file): [string, string[]] => [file, []]))
    for (const file of tests) {
      const about = policiesOf(file)
      const [only] = about
      // Several policies are one chain, and these tests are about that.
      if (about.length > 1 || only === undefined) await this.#add(file, defaultConfig(), about, [file])
      else if (!configured.has(only) || !testsBeside(only).includes(file)) {
        named.set(only, [...(named.get(only) ?? []), file])
      }
    }
    for (const [file, testFiles] of named) {
      if (configured.has(file) && testFiles.length === 0) continue
      await this.#add(file, defaultConfig(), [file], testFiles)
    }
  }

  async #add(file: string, config: Config, policies: readonly string[], testFiles: readonly string[]): Promise<void> {
    const { parts, diagnostics, files } = loadPolicies(policies, config.inlinePolicies, process.env)
    if (diagnostics.length > 0) throw new LoadError(diagnostics)
    const besides = new Set([
      ...testFiles,
      ...(policies.length > 1 && testFiles.length > 0 ? [] : policies.flatMap(testsBeside)),
    ])
    for (const one of [file, ...files, ...besides]) this.files.add(one)
    // The tests of a file that is only included are about that file alone.
    const own = parts.filter(({ source }) => [...policies, file].includes(resolve(source.file)))
    const inside = testFiles.includes(file) ? [] : own
    this.suites.push({
      label: pathText(file),
      files: policies,
      inline: config.inlinePolicies,
      servers: config.servers.map(server => server.name),
      registry: await loadRegistry({
        ...config,
        interceptorDirs: [...config.interceptorDirs, ...this.#interceptorDirs],
      }),
      env: process.env,
      sources: [
        ...inside.flatMap(({ source, raw }): TestSource[] => (raw.tests ? [{ source, tests: raw.tests }] : [])),
        ...[...besides].map(readTests),
      ],
    })
  }
}

function sort(paths: readonly string[]): Paths {
  const found: Paths = { configs: new Set(), policies: new Set(), tests: new Set() }
  for (const path of paths.map(one => resolve(one))) {
    if (!existsSync(path)) throw new UsageError(`${pathText(path)}: no such file or folder`)
    if (statSync(path).isDirectory()) for (const file of yamlFiles(path)) sortFile(file, found, true)
    else sortFile(path, found, false)
  }
  return found
}

function yamlFiles(folder: string): string[] {
  const names = readdirSync(folder).filter(name => YAML_FILE.test(name) && !name.startsWith('.'))
  return names.toSorted().map(name => join(folder, name))
}

function sortFile(file: string, { configs, policies, tests }: Paths, fromFolder: boolean): void {
  if (TEST_FILE.test(file)) tests.add(file)
  else if (isConfig(file)) configs.add(file)
  else if (!fromFolder || isPolicy(file)) policies.add(file)
}

/** Whether a file of a folder is a policy: YAML of other kinds may lie there too. */
function isPolicy(file: string): boolean {
  const { value, diagnostics } = readYaml(file, process.env)
  if (diagnostics.length > 0) return true
  if (typeof value !== 'object' || value === null) return false
  return ['interceptors', 'access_control', 'include', 'tests'].some(key => key in value)
}

function policiesOf(file: string): string[] {
  const { policy: named } = readTests(file)
  const dir = dirname(file)
  if (named !== undefined) return [named].flat().map(policy => resolve(dir, policy))
  const stem = basename(file).replace(TEST_FILE, '')
  const policy = ['.yaml', '.yml'].map(extension => join(dir, stem + extension)).find(path => existsSync(path))
  if (policy === undefined) {
    const text = `there is no ${stem}.yaml beside it: name the policy it tests, by "policy: FILE"`
    throw new LoadError([{ file, line: 0, column: 0, severity: 'error', text }])
  }
  return [policy]
}

interface TestFile extends TestSource {
  readonly policy: string | readonly string[] | undefined
}

/** @throws LoadError */
function readTests(file: string): TestFile {
  const source = readYaml(file, process.env)
  if (source.diagnostics.length > 0) throw new LoadError(source.diagnostics)
  const { value, diagnostics } = validate(source, testFileSchema)
  if (value === null) throw new LoadError(diagnostics)
  return { source, tests: value.tests, policy: value.policy }
}

/** `NAME.test.yaml` of `NAME.yaml`, where it is there and does not name another policy. */
function testsBeside(policy: string): string[] {
  const stem = policy.replace(YAML_FILE, '')
  return ['.test.yaml', '.test.yml']
    .map(extension => stem + extension)
    .filter(file => existsSync(file) && policiesOf(file).includes(policy))
}
