import type { Diagnostic } from '../base/diagnostic.ts'
import { suggestion } from '../base/suggest.ts'
import type { Path, YamlSource } from '../base/yaml-source.ts'
import { entriesOf } from './credentials.ts'
import {
  type RawClient,
  type RawCredentials,
  type RawEntry,
  type RawShown,
  REFERENCE,
  SECRET_NAME,
} from './credentials-schema.ts'

/** What the rest of the configuration says. */
export interface CredentialNeighbours {
  readonly servers: Readonly<Record<string, object>>
  readonly clients: readonly string[]
  /** Whether clients may have names that the file does not list. */
  readonly anyClient: boolean
  /** Whether servers may be named elsewhere: on the command line. */
  readonly anyServer: boolean
}

/** Names that lead nowhere, and values that reach nobody. */
export function checkCredentials(
  raw: RawCredentials | undefined,
  source: YamlSource,
  around: CredentialNeighbours,
): Diagnostic[] {
  if (raw === undefined) return []
  const found: Diagnostic[] = []
  for (const [server, entry] of entriesOf(raw)) {
    if (!around.anyServer && !Object.hasOwn(around.servers, server)) {
      const text = `no server "${server}"${suggestion(server, Object.keys(around.servers), 'servers')}`
      found.push(source.diagnostic(['credentials'], text, { at: 'key', place: ['credentials', server] }))
    }
    found.push(...checkUses(server, entry, raw, source))
    found.push(...checkClients(server, entry, source, around))
    found.push(...checkReplicas(server, entry, source, around))
  }
  return [...found, ...checkNames(['credentials'], source), ...checkRotation(raw, source)]
}

function checkUses(server: string, entry: RawEntry, raw: RawCredentials, source: YamlSource): Diagnostic[] {
  const names = Object.keys(raw.shared)
  const parts: [path: string[], part: RawClient][] = [
    [['credentials', server], entry],
    ...Object.entries(entry.clients).map(([id, part]): [string[], RawClient] => [
      ['credentials', server, 'clients', id],
      part,
    ]),
  ]
  return parts.flatMap(([path, { use }]) => {
    if (use === undefined || names.includes(use)) return []
    const hint = names.length === 0 ? ': credentials.shared is empty' : suggestion(use, names, 'shared')
    return [source.diagnostic([...path, 'use'], `no entry "${use}" of credentials.shared${hint}`)]
  })
}

function checkClients(
  server: string,
  entry: RawEntry,
  source: YamlSource,
  { clients, anyClient }: CredentialNeighbours,
): Diagnostic[] {
  if (anyClient) return []
  const known = [...clients, 'anonymous']
  return Object.keys(entry.clients)
    .filter(id => !known.includes(id))
    .map(id => {
      const path = ['credentials', server, 'clients']
      const text = `no client "${id}"${suggestion(id, known, 'clients')}`
      return source.diagnostic(path, text, { at: 'key', place: [...path, id] })
    })
}

/** Variables and files are for replicas that Sluice starts; header fields, for servers that are spoken to over HTTP. */
function checkReplicas(
  server: string,
  entry: RawEntry,
  source: YamlSource,
  { servers }: CredentialNeighbours,
): Diagnostic[] {
  const given = servers[server] as { command?: unknown; image?: unknown; transport?: unknown } | undefined
  if (given === undefined) return []
  const isStarted = given.command !== undefined || given.image !== undefined
  const keys = isStarted ? [] : replicaKeys(entry)
  if (isStarted && given.transport !== 'http') keys.push(...headerKeys(entry))
  const text = isStarted
    ? 'has no effect: this server is spoken to over stdio, which has no header fields; use "env" or "files"'
    : 'has no effect: Sluice does not start this server; use "headers"'
  return keys.map(key => source.diagnostic(['credentials', server, key], text, { at: 'key', severity: 'warning' }))
}

function replicaKeys(entry: RawEntry): string[] {
  return [
    ...(Object.keys(entry.env).length > 0 ? ['env'] : []),
    ...(Object.keys(entry.files).length > 0 ? ['files'] : []),
    ...(entry.connection_string === undefined ? [] : ['connection_string']),
  ]
}

/** Those that are nothing but header fields. */
function headerKeys(entry: RawEntry): string[] {
  return [
    ...(Object.keys(entry.headers).length > 0 ? ['headers'] : []),
    ...(['refresh', 'oauth', 'username', 'clients'] as const).filter(key => {
      const value = entry[key]
      return value !== undefined && (typeof value !== 'object' || Object.keys(value).length > 0)
    }),
  ]
}

/** Whether what leads elsewhere says where to. Only as it is written: a variable's value is a value. */
function checkNames(path: Path, source: YamlSource): Diagnostic[] {
  const value = source.get(path)
  if (typeof value === 'object' && value !== null)
    return Object.keys(value).flatMap(key => checkNames([...path, key], source))
  const [, , scheme, written] = REFERENCE.exec(source.written(path)) ?? []
  const rest = REFERENCE.exec(String(value))?.[3] ?? ''
  if (scheme === 'file' && rest === '') return [source.diagnostic(path, 'file: without a path')]
  if (scheme !== 'secret' || (SECRET_NAME.test(rest) && written !== undefined)) return []
  return [source.diagnostic(path, 'no name of a secret: it looks like secret:NAME, of letters, digits and . _ / -')]
}

/** A refresh token that changes with each use must outlive the process. */
function checkRotation(raw: RawCredentials, source: YamlSource): Diagnostic[] {
  if (raw.encryption.enabled) return []
  const entries: [path: string[], part: RawShown][] = [
    ...entriesOf(raw).map(([name, part]): [string[], RawShown] => [['credentials', name], part]),
    ...Object.entries(raw.shared).map(([name, part]): [string[], RawShown] => [['credentials', 'shared', name], part]),
  ]
  const text = 'without encryption.enabled, renewed tokens are forgotten at the end of the process'
  return entries
    .filter(([, part]) => part.refresh !== undefined)
    .map(([path]) => source.diagnostic([...path, 'refresh'], text, { at: 'key', severity: 'warning' }))
}
