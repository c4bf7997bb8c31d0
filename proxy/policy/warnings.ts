import type { AccessControl, Direction, GlobList, Kind } from '../api/index.ts'
import type { Diagnostic } from '../base/diagnostic.ts'
import { suggest, suggestion } from '../base/suggest.ts'
import { acts, type ChainEntry } from './chain-entry.ts'
import { METHODS } from './methods.ts'
import type { ResolvedEntry } from './resolve-entries.ts'

const KINDS: readonly Kind[] = ['request', 'response', 'notification']

/** What an entry says that can never act, or only less than it seems. */
export function entryWarnings(entry: ResolvedEntry, servers: readonly string[]): Diagnostic[] {
  return [...offWarning(entry), ...serverWarnings(entry, servers), ...methodWarnings(entry)]
}

/** The same, once the hooks are known. */
export function hookWarnings(entry: ResolvedEntry, made: ChainEntry): Diagnostic[] {
  if (!acts(made)) {
    return [warn(entry, [], `"${entry.interceptor.name}" has no hooks with these options: this entry does nothing`)]
  }
  if (made.end !== null || KINDS.some(kind => canMeet(made, kind))) return []
  const { name } = entry.interceptor
  if (KINDS.every(kind => (made.steps[kind]?.directions.length ?? 0) === 0)) {
    return [warn(entry, ['match', 'direction'], `"${name}" looks only at what travels the other way: it never runs`)]
  }
  return [warn(entry, ['match', 'method'], `"${name}" looks at no message of these methods: it never runs`)]
}

/** An `access` that does not see everything leaves a hole that nobody asked for. */
export function accessWarnings(entry: ResolvedEntry): Diagnostic[] {
  const { matcher } = entry
  const narrow = (['server', 'method', 'name', 'client'] as const).filter(key => !matcher[key].any)
  const paths = narrow.map(key => ['match', key])
  if (!matcher.directions.includes('toServer')) paths.push(['match', 'direction'])
  if (entry.raw.when !== undefined) paths.push(['when'])
  return paths.map(path => warn(entry, path, 'what does not fit here passes without access control'))
}

/** What stands behind `access` and is meant for clients whom that lets nothing do. Its `end` would still run. */
export function unreachableWarnings(
  active: readonly ResolvedEntry[],
  chain: readonly ChainEntry[],
  accessControl: AccessControl | null,
): Diagnostic[] {
  const guard = active.findIndex(({ interceptor, raw }) => interceptor.name === 'access' && raw.mode === 'enforce')
  if (guard === -1 || accessControl === null || accessWarnings(active[guard] as ResolvedEntry).length > 0) return []
  return active.flatMap((entry, place) => {
    const made = chain.find(one => one.name === entry.name)
    const clients = entry.matcher.client.patterns
    if (place <= guard || made?.end !== null || !clients.every(client => mayNothing(client, accessControl))) return []
    const hint =
      clients.length === 1 ? suggestion(clients[0] as string, [...accessControl.clients.keys()], 'there are') : ''
    return [warn(entry, ['match', 'client'], `access denies these clients everything, so this entry never runs${hint}`)]
  })
}

function mayNothing(client: string, { clients, defaultPolicy }: AccessControl): boolean {
  if (/[*?[{\\!]/.test(client)) return false
  const rules = clients.get(client) ?? clients.get('*')
  const servers = rules?.allowedServers ?? null
  return servers === null ? defaultPolicy === 'deny' : servers.length === 0
}

function warn(entry: ResolvedEntry, path: (string | number)[], text: string): Diagnostic {
  return entry.source.diagnostic([...entry.path, ...path], text, { severity: 'warning' })
}

function offWarning(entry: ResolvedEntry): Diagnostic[] {
  return entry.raw.mode === 'off' ? [warn(entry, ['mode'], 'off: this entry does nothing')] : []
}

function serverWarnings(entry: ResolvedEntry, servers: readonly string[]): Diagnostic[] {
  const globs = entry.matcher.server
  if (servers.length === 0 || servers.some(server => globs.fits(server))) return []
  const [only] = globs.patterns
  const hint = globs.patterns.length === 1 && only !== undefined ? suggestion(only, servers, 'there are') : ''
  return [warn(entry, ['match', 'server'], `fits no configured server, so this entry never runs${hint}`)]
}

/** Methods nobody knows may be of an extension; those that look like a slip are told. */
function methodWarnings(entry: ResolvedEntry): Diagnostic[] {
  return entry.matcher.method.patterns.flatMap((pattern, i) => {
    const method = pattern.replace(/^!/, '')
    if (METHODS.has(method) || /[*?[{\\]/.test(method)) return []
    const near = suggest(method, METHODS.keys())
    if (near === null) return []
    const path = typeof entry.raw.match?.method === 'string' ? ['match', 'method'] : ['match', 'method', i]
    return [warn(entry, path, `unknown method "${method}", did you mean "${near}"?`)]
  })
}

/** Whether a hook could ever run. Methods of extensions are not known here, so where globs may fit those, it could. */
function canMeet(entry: ChainEntry, kind: Kind): boolean {
  const directed = entry.steps[kind]
  if (directed === null || directed.directions.length === 0) return false
  if (!spelledOut(entry.matcher.method) && !spelledOut(directed.methods)) return true
  return [...METHODS].some(([method, spec]) => {
    if (!entry.matcher.method.fits(method) || !directed.methods.fits(method)) return false
    if (spec.kind !== (kind === 'notification' ? 'notification' : 'request')) return false
    const ways = kind === 'response' ? spec.directions.map(back) : spec.directions
    return ways.some(direction => directed.directions.includes(direction))
  })
}

function spelledOut(globs: GlobList): boolean {
  return globs.patterns.every(pattern => METHODS.has(pattern))
}

function back(direction: Direction): Direction {
  return direction === 'toServer' ? 'toClient' : 'toServer'
}
