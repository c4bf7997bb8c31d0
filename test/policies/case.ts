import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Interceptor } from '../../proxy/api/index.ts'
import { formatDiagnostic, LoadError } from '../../proxy/base/diagnostic.ts'
import { compilePolicies, type PolicyInput } from '../../proxy/policy/compile.ts'
import { explain, type Question } from '../../proxy/policy/explain.ts'
import { Registry } from '../../proxy/policy/registry.ts'
import { registry } from './interceptors.ts'

/**
 * A case is a file: the policy, a line of ten dashes, then the text of `explain`, or of the errors. Warnings stand
 * before the explanation. Comments at its beginning set the scene:
 *
 * `# with: NAME NAME` (interceptors that come with the proxy; default: those of `interceptors.ts`) ·
 * `# ask: SERVER METHOD [NAME] [as CLIENT]` · `# env: NAME=VALUE` · `# strict` · `# files: a.yaml b.yaml` (default: policy.yaml)
 *
 * `===== b.yaml` begins another file.
 */
export interface Case {
  /** All above the dashes, as it stands in the file. */
  readonly given: string
  readonly expected: string
}

const DASHES = '\n----------\n'

export const SERVERS: readonly string[] = ['github', 'postgres']

export function parseCase(text: string): Case {
  const at = text.indexOf(DASHES)
  if (at === -1) throw new Error('no line of ten dashes')
  return { given: text.slice(0, at + 1), expected: text.slice(at + DASHES.length) }
}

export function formatCase(given: string, result: string): string {
  return `${given}----------\n${result}`
}

/** What the policy of a case compiles to, as text. */
export async function runCase(given: string): Promise<string> {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'policytest-')))
  try {
    writeFiles(dir, given)
    return (await compile(dir, given)).replaceAll(`${dir}/`, '')
  } finally {
    rmSync(dir, { recursive: true })
  }
}

function writeFiles(dir: string, given: string): void {
  const [first, ...others] = given.split(/^===== /m)
  writeFileSync(join(dir, 'policy.yaml'), first ?? '')
  for (const other of others) {
    const [name, ...lines] = other.split('\n')
    const file = join(dir, name ?? '')
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, lines.join('\n'))
  }
}

async function compile(dir: string, given: string): Promise<string> {
  try {
    const policy = await compilePolicies(await inputOf(dir, given))
    const warnings = policy.warnings.map(warning => `${formatDiagnostic(warning)}\n`)
    return warnings.join('') + explain(policy, questionOf(given))
  } catch (error) {
    if (error instanceof LoadError) return `${error.message}\n`
    throw error
  }
}

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

const NO_STORE = {
  get: () => Promise.resolve(null),
  set: () => Promise.resolve(),
  delete: () => Promise.resolve(),
  increment: () => Promise.resolve(1),
  take: () => ({ granted: true, remaining: 1, retryMs: 0, local: false }),
  spend: () => {},
  hold: () => null,
}

/** What entries get from the process, for tests. */
export const services: PolicyInput['services'] = {
  clock: { now: () => 0, monotonic: () => 0 },
  logger: () => SILENT,
  store: NO_STORE,
  tools: () => null,
}

async function inputOf(dir: string, given: string): Promise<PolicyInput> {
  const files = scene(given, 'files')[0]?.split(' ') ?? ['policy.yaml']
  return {
    files: files.map(file => join(dir, file)),
    servers: SERVERS,
    registry: await registryOf(scene(given, 'with')[0]?.split(' ') ?? []),
    services,
    env: Object.fromEntries(scene(given, 'env').map(pair => pair.split('=', 2))),
    strict: /^# strict$/m.test(given),
    generation: 1,
  }
}

async function registryOf(names: readonly string[]): Promise<Registry> {
  if (names.length === 0) return registry
  const found = names.map(async name => {
    const module = (await import(`../../interceptors/${name}/${name}.ts`)) as { default: Interceptor }
    return module.default
  })
  return Registry.of(await Promise.all(found))
}

function questionOf(given: string): Question {
  const words = (scene(given, 'ask')[0] ?? 'github tools/call search').split(' ')
  const as = words.indexOf('as')
  const client = as === -1 ? 'anonymous' : (words[as + 1] ?? '')
  const [server = '', method = '', name = ''] = as === -1 ? words : words.slice(0, as)
  return { server, method, name, client }
}

function scene(given: string, key: string): string[] {
  return [...given.matchAll(new RegExp(`^# ${key}: (.*)$`, 'gm'))].map(match => match[1] ?? '')
}
