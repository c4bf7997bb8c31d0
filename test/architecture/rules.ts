import { posix } from 'node:path'
import type { FileFacts, Mention } from './source.ts'

/** A folder with a row in the import table. */
interface Room {
  /** Rooms, or single files without `.ts`, whose code it may use. Its own folder and npm packages are always allowed. */
  readonly uses: readonly string[]
  /** Those of which it may use types only. */
  readonly types?: readonly string[]
}

const CHANNELS = 'proxy/observe/channels'

/** Who may import whom. A folder inside `proxy` without a row here is an error: decide what it may know first. */
export const ROOMS: Readonly<Record<string, Room>> = {
  'proxy/api': { uses: [] },
  'proxy/base': { uses: [] },
  'proxy/message': { uses: ['proxy/api', 'proxy/base'] },
  // What a file says about a server has the types of the rooms that act on it.
  'proxy/config': {
    uses: ['proxy/api', 'proxy/base', CHANNELS],
    types: ['proxy/fleet/spec', 'proxy/upstream/settings', 'proxy/credentials/spec'],
  },
  'proxy/policy': { uses: ['proxy/api', 'proxy/base', CHANNELS] },
  'proxy/store': { uses: ['proxy/api', 'proxy/base', CHANNELS] },
  'proxy/chain': {
    uses: ['proxy/api', 'proxy/base', 'proxy/message', CHANNELS],
    types: ['proxy/policy/plan', 'proxy/upstream/upstream'],
  },
  'proxy/upstream': { uses: ['proxy/api', 'proxy/base', 'proxy/message', CHANNELS] },
  'proxy/downstream': {
    // The chain's doors: what runs an exchange, what runs a batch of them, what words an answer, and what these need.
    uses: [
      'proxy/api',
      'proxy/base',
      'proxy/message',
      'proxy/chain/relay',
      'proxy/chain/batch',
      'proxy/chain/answer',
      'proxy/chain/ports',
      CHANNELS,
    ],
    types: ['proxy/policy/plan', 'proxy/upstream/upstream'],
  },
  // Runs recorded exchanges again: it needs the doors of the chain, as those who take clients in do.
  'proxy/shadow': {
    uses: [
      'proxy/api',
      'proxy/base',
      'proxy/message',
      'proxy/chain/relay',
      'proxy/chain/pending',
      'proxy/chain/tool-table',
      'proxy/policy/environment',
      'proxy/policy/reload',
      'proxy/observe/control-routes',
      CHANNELS,
    ],
    types: ['proxy/policy/plan', 'proxy/policy/compile', 'proxy/chain/ports', 'proxy/upstream/upstream'],
  },
  'proxy/fleet': {
    uses: ['proxy/api', 'proxy/base', 'proxy/message', CHANNELS],
    types: ['proxy/upstream/replica-table'],
  },
  // Secrets at rest and in use: resolves, refreshes and hands them out. Knows nothing of requests.
  'proxy/credentials': { uses: ['proxy/api', 'proxy/base', CHANNELS] },
  // The load generator behind `sluice bench`: a client of MCP servers, nothing of the proxy.
  'proxy/load': { uses: ['proxy/api', 'proxy/base', 'proxy/message'] },
  'proxy/observe': { uses: ['proxy/api', 'proxy/base'] },
  // Commands of an interceptor's own, such as `sluice tools`, use its code.
  'proxy/cli': { uses: ['proxy', 'interceptors'] },
  // Parts of main.ts: what a configuration makes of several rooms.
  'proxy/wiring': { uses: ['proxy'] },
  'proxy/main.ts': { uses: ['proxy'] },
  'proxy/testing.ts': { uses: ['proxy'] },
  'proxy/testing': { uses: ['proxy'] },
}

const ALIASES: Readonly<Record<string, string>> = { '#api': 'proxy/api/index', '#testing': 'proxy/testing' }

/** The row a file stands in: its folder inside `proxy`, or the file itself when it stands in `proxy`; `''` elsewhere. */
export function roomOf(path: string): string {
  const parts = path.split('/')
  return parts[0] === 'proxy' ? `proxy/${parts[1]}` : ''
}

/** Every mention in `file` that breaks the table, as a sentence. */
export function forbiddenImports(file: FileFacts): string[] {
  const judge = judgeFor(file.path)
  return file.mentions
    .map(mention => {
      const reason = judge(mention)
      return reason === '' ? '' : `${file.path}:${mention.line}: ${reason}`
    })
    .filter(line => line !== '')
}

type Judge = (mention: Mention) => string

function judgeFor(path: string): Judge {
  if (path.startsWith('interceptors/')) return mention => judgeInterceptor(path, mention)
  if (path.startsWith('deploy/')) return mention => judgeDeploy(path, mention)
  if (path.startsWith('proxy/')) return mention => judgeHeavy(mention) || judgeRoom(path, mention)
  return mention => judgeFree(path, mention)
}

/** Their properties start what no code of ours uses when an `import` reads them: proxy/base/node-modules.ts. */
const HEAVY = new Set(['node:http', 'node:https', 'node:tls', 'http', 'https', 'tls'])

function judgeHeavy({ specifier, typeOnly }: Mention): string {
  if (typeOnly || !HEAVY.has(specifier)) return ''
  return `"${specifier}" costs memory and time at start: take it from proxy/base/node-modules.ts, or write "import type"`
}

/** Interceptors, ours and the user's: `#api`, own folder, packages. Their tests may use `#testing`. */
function judgeInterceptor(path: string, mention: Mention): string {
  const { specifier } = mention
  if (specifier === '#api' || isPackage(specifier)) return ''
  if (specifier === '#testing' && path.endsWith('.test.ts')) return ''
  const own = path.split('/').slice(0, 2).join('/')
  const target = targetOf(path, specifier)
  if (target?.startsWith(`${own}/`)) return ''
  return `"${specifier}": an interceptor may import only "#api", its own folder and packages`
}

/** What ships for trying out stands alone, like a server that somebody else wrote. */
function judgeDeploy(path: string, mention: Mention): string {
  if (isPackage(mention.specifier) || targetOf(path, mention.specifier)?.startsWith('deploy/')) return ''
  return `"${mention.specifier}": deploy may import only its own files and packages`
}

function judgeFree(path: string, mention: Mention): string {
  if (isPackage(mention.specifier) || mention.specifier in ALIASES) return ''
  return targetOf(path, mention.specifier) === null
    ? `"${mention.specifier}": neither a package nor a file of ours`
    : ''
}

function judgeRoom(path: string, mention: Mention): string {
  const { specifier, typeOnly } = mention
  if (isPackage(specifier)) return ''
  const room = ROOMS[roomOf(path)]
  if (room === undefined) return `${roomOf(path)} has no row in the import table (test/architecture/rules.ts)`
  const target = targetOf(path, specifier)
  if (target === null) return `"${specifier}": inside proxy, import files by relative path`
  if (roomOf(target) === roomOf(path) || covers(room.uses, target)) return ''
  if (!covers(room.types ?? [], target)) return `${roomOf(path)} may not import ${target}`
  return typeOnly ? '' : `${roomOf(path)} may import only types of ${target}: write "import type"`
}

function covers(allowed: readonly string[], target: string): boolean {
  return allowed.some(entry => target === `${entry}.ts` || target.startsWith(`${entry}/`))
}

function isPackage(specifier: string): boolean {
  return !specifier.startsWith('.') && !specifier.startsWith('/') && !specifier.startsWith('#')
}

/** The file a mention means, from the root; `null` for a package or an alias. */
export function targetOf(path: string, specifier: string): string | null {
  if (!specifier.startsWith('.')) return null
  return posix.normalize(posix.join(posix.dirname(path), specifier))
}

/**
 * Import cycles, each as the list of its files: those of code, and those that need only types but lead through more than
 * one folder. Two files of one folder may name each other's types.
 */
export function findCycles(files: readonly FileFacts[]): string[][] {
  const code = cyclesOf(files, mention => !mention.typeOnly)
  const any = cyclesOf(files, () => true).filter(cycle => new Set(cycle.map(path => posix.dirname(path))).size > 1)
  return [...code, ...any.filter(cycle => !code.some(other => other.join() === cycle.join()))]
}

function cyclesOf(files: readonly FileFacts[], counts: (mention: Mention) => boolean): string[][] {
  const edges = new Map(
    files.map(file => [file.path, file.mentions.filter(counts).map(one => resolve(file.path, one))]),
  )
  const state = new Map<string, 'open' | 'done'>()
  const cycles: string[][] = []
  const walk = (path: string, trail: readonly string[]): void => {
    if (state.get(path) === 'done') return
    if (state.get(path) === 'open') {
      cycles.push([...trail.slice(trail.indexOf(path)), path])
      return
    }
    state.set(path, 'open')
    for (const next of edges.get(path) ?? []) walk(next, [...trail, path])
    state.set(path, 'done')
  }
  for (const path of edges.keys()) walk(path, [])
  return cycles
}

function resolve(path: string, { specifier }: Mention): string {
  const alias = ALIASES[specifier]
  return alias === undefined ? (targetOf(path, specifier) ?? '') : `${alias}.ts`
}

/** Packages whose code (not types) a file uses at run time, without `node:` and without the path inside a package. */
export function packagesOf(file: FileFacts): string[] {
  return file.mentions
    .filter(mention => !mention.typeOnly && isPackage(mention.specifier) && !mention.specifier.startsWith('node:'))
    .map(mention =>
      mention.specifier
        .split('/')
        .slice(0, mention.specifier.startsWith('@') ? 2 : 1)
        .join('/'),
    )
}

const KEBAB = /^[a-z0-9]+(-[a-z0-9]+)*(\.(test|d))?\.(ts|mts|mjs|js)$/

export function isKebabCase(path: string): boolean {
  return KEBAB.test(posix.basename(path))
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return 0
  return sorted.length % 2 === 1 ? (sorted[middle] ?? 0) : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2
}
