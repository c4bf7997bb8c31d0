import { type AccessControl, type ClientRules, GlobList } from '../api/index.ts'
import type { Diagnostic } from '../base/diagnostic.ts'
import { suggestion } from '../base/suggest.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import type { PolicyPart } from './load.ts'
import type { RawAccessControl, RawClientRules } from './schema.ts'

export interface MergedAccessControl {
  /** `null` = no part has any. Switched off everywhere, it allows everything. */
  readonly accessControl: AccessControl | null
  /** The part that switches it on; `null` = none does. */
  readonly source: YamlSource | null
  readonly diagnostics: readonly Diagnostic[]
}

interface Section {
  readonly source: YamlSource
  readonly raw: RawAccessControl
}

/** Merges the `access_control` of all parts: clients side by side, one `default_policy`. */
export function mergeAccessControl(parts: readonly PolicyPart[], servers: readonly string[]): MergedAccessControl {
  const sections = parts.flatMap(({ source, raw }) => {
    return raw.access_control == null ? [] : [{ source, raw: raw.access_control }]
  })
  const active = sections.filter(section => section.raw.enabled)
  const diagnostics = sections.filter(section => !section.raw.enabled).map(disabled)
  if (sections.length === 0) return { accessControl: null, source: null, diagnostics }
  if (active.length === 0) {
    return { accessControl: { defaultPolicy: 'allow', clients: new Map() }, source: null, diagnostics }
  }
  const defaultPolicy = mergeDefault(active, diagnostics)
  const clients = mergeClients(active, servers, diagnostics)
  return { accessControl: { defaultPolicy, clients }, source: active[0]?.source ?? null, diagnostics }
}

function disabled({ source }: Section): Diagnostic {
  const text = 'access control is switched off: these rules do nothing'
  return source.diagnostic(['access_control', 'enabled'], text, { severity: 'warning' })
}

/** Where nobody says anything, what is not allowed is denied. */
function mergeDefault(sections: readonly Section[], diagnostics: Diagnostic[]): 'allow' | 'deny' {
  const [first, ...others] = sections.filter(({ raw }) => raw.default_policy !== undefined)
  for (const { source, raw } of others) {
    if (raw.default_policy === first?.raw.default_policy) continue
    const text = `"${raw.default_policy}" here, but "${first?.raw.default_policy}" in ${placeOf(first, ['default_policy'])}`
    diagnostics.push(source.diagnostic(['access_control', 'default_policy'], text))
  }
  return first?.raw.default_policy ?? 'deny'
}

function mergeClients(
  sections: readonly Section[],
  servers: readonly string[],
  diagnostics: Diagnostic[],
): Map<string, ClientRules> {
  const clients = new Map<string, ClientRules>()
  const owners = new Map<string, Section>()
  for (const section of sections) {
    for (const [name, raw] of Object.entries(section.raw.clients)) {
      const path = ['access_control', 'clients', name]
      const owner = owners.get(name)
      if (owner !== undefined) {
        const text = `client "${name}" is there already, in ${placeOf(owner, ['clients', name])}`
        diagnostics.push(section.source.diagnostic(path, text, { at: 'key' }))
        continue
      }
      owners.set(name, section)
      clients.set(name, toRules(raw ?? {}))
      diagnostics.push(...checkRules(raw ?? {}, section.source, path, servers))
    }
  }
  return clients
}

function placeOf(section: Section | undefined, path: readonly string[]): string {
  const place = section?.source.diagnostic(['access_control', ...path], '', { at: 'key' })
  return `${place?.file}:${place?.line}:${place?.column}`
}

function toRules(raw: RawClientRules): ClientRules {
  return Object.freeze({
    allowedServers: raw.allowed_servers ?? null,
    allowedTools: raw.allowed_tools ?? null,
    rateLimit: raw.rate_limit ?? null,
    requestsPerMinute: raw.rate_limits?.requests_per_minute ?? null,
    tokensPerDay: raw.rate_limits?.tokens_per_day ?? null,
  })
}

/** Rights to what does not exist, or that another line takes away, are most likely a slip. */
function checkRules(
  raw: RawClientRules,
  source: YamlSource,
  path: readonly string[],
  servers: readonly string[],
): Diagnostic[] {
  const found: Diagnostic[] = []
  const warn = (below: (string | number)[], text: string, at: 'key' | 'value'): void => {
    found.push(source.diagnostic([...path, ...below], text, { severity: 'warning', at }))
  }
  for (const [i, name] of (raw.allowed_servers ?? []).entries()) {
    if (fitsNone(name, servers)) warn(['allowed_servers', i], unknownServer(name, servers), 'value')
  }
  const allowed = raw.allowed_servers === undefined ? null : new GlobList(raw.allowed_servers)
  for (const name of Object.keys(raw.allowed_tools ?? {})) {
    if (name === '*') continue
    if (servers.length > 0 && !servers.includes(name)) {
      warn(['allowed_tools', name], unknownServer(name, servers), 'key')
    } else if (allowed !== null && !allowed.fits(name)) {
      warn(['allowed_tools', name], `server "${name}" is not in allowed_servers, so none of these can be called`, 'key')
    }
  }
  return found
}

/** Whether a glob with nothing negative about it names no server that there is. */
function fitsNone(pattern: string, servers: readonly string[]): boolean {
  if (servers.length === 0 || pattern.startsWith('!') || pattern === '*') return false
  const globs = new GlobList([pattern])
  return !servers.some(server => globs.fits(server))
}

function unknownServer(name: string, servers: readonly string[]): string {
  return `no server "${name}" is configured${suggestion(name, servers, 'there are')}`
}
