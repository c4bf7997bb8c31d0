import type { Clock } from '../api/index.ts'
import { SecretReader, STORE_PLACE } from './read-secret.ts'
import { type ResolvedFields, type ResolvedValues, resolveFields, resolveValues } from './resolve-part.ts'
import type { CredentialSpec, CredentialsSpec, ServerCredentialSpec, TokenSpec } from './spec.ts'
import { SecretStore } from './store/secret-store.ts'

/** One client's part of a server's entry, resolved. */
export interface Part {
  readonly server: string
  /** `''` = everybody without a part of their own. */
  readonly client: string
  readonly spec: CredentialSpec
  readonly resolved: ResolvedFields
}

/** What the replicas of one server get. */
export interface ReplicaPart {
  readonly env: ResolvedValues
  readonly files: ResolvedValues
}

/** All secrets of a configuration, but for tokens that have to be fetched. */
export interface ReadSecrets {
  readonly parts: readonly Part[]
  readonly replicas: ReadonlyMap<string, ReplicaPart>
  /** Every file that was looked at. */
  readonly files: ReadonlySet<string>
  /** What cannot be had, by whose it is: server, `server (client NAME)`, `replicas of NAME`, `token of NAME`. */
  readonly problems: ReadonlyMap<string, string>
}

/** The store of a configuration; `null` = it has none. */
export function storeOf({ encryption, storeFile, keyFile }: CredentialsSpec, clock: Clock): SecretStore | null {
  return encryption ? new SecretStore({ file: storeFile, keyFile, clock }) : null
}

export function readerOf({ search }: CredentialsSpec, store: SecretStore | null): SecretReader {
  return new SecretReader(search.includes(STORE_PLACE) ? store : null, search)
}

/** Reads everything once. What cannot be had is a problem, not an error. */
export async function readAll(spec: CredentialsSpec, store: SecretStore | null): Promise<ReadSecrets> {
  const reader = readerOf(spec, store)
  const parts: Part[] = []
  const replicas = new Map<string, ReplicaPart>()
  for (const [server, entry] of spec.servers) {
    for (const [client, part] of partsOf(entry)) {
      parts.push({ server, client, spec: part, resolved: await resolveFields(part, reader) })
    }
    const env = await resolveValues(entry.env, reader, 'text')
    replicas.set(server, { env, files: await resolveValues(entry.files, reader, 'bytes') })
  }
  const problems = problemsOf(parts, replicas)
  for (const token of tokensOf(parts)) {
    const problem = await problemOf(token, reader)
    if (problem !== '') problems.set(`token of ${token.name}`, problem)
  }
  return { parts, replicas, files: reader.files, problems }
}

/** Each token once, however many servers share it. */
export function tokensOf(parts: readonly Part[]): TokenSpec[] {
  const byName = new Map<string, TokenSpec>()
  for (const { spec } of parts) if (spec.token !== null) byName.set(spec.token.name, spec.token)
  return [...byName.values()]
}

function partsOf(entry: ServerCredentialSpec): [client: string, spec: CredentialSpec][] {
  return [['', entry.everybody], ...entry.clients]
}

function problemsOf(parts: readonly Part[], replicas: ReadonlyMap<string, ReplicaPart>): Map<string, string> {
  const problems = new Map<string, string>()
  for (const { server, client, resolved } of parts) {
    if (resolved.problem !== '') problems.set(client === '' ? server : `${server} (client ${client})`, resolved.problem)
  }
  for (const [server, { env, files }] of replicas) {
    const problem = env.problem || files.problem
    if (problem !== '') problems.set(`replicas of ${server}`, problem)
  }
  return problems
}

async function problemOf(
  { refreshToken, accessToken, clientId, clientSecret }: TokenSpec,
  reader: SecretReader,
): Promise<string> {
  for (const ref of [refreshToken, accessToken, clientId, clientSecret]) {
    if (ref === null) continue
    try {
      await reader.text(ref)
    } catch (error) {
      return (error as Error).message
    }
  }
  return ''
}
