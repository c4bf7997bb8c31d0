import { join, resolve } from 'node:path'
import { Secret } from '../base/secret.ts'
import type { Path, YamlSource } from '../base/yaml-source.ts'
import type {
  CredentialSpec,
  CredentialsSpec,
  HeaderSpec,
  ReplicaValueSpec,
  SecretRef,
  ServerCredentialSpec,
  TokenSpec,
} from '../credentials/spec.ts'
import {
  type RawCredentials,
  type RawEntry,
  type RawShared,
  type RawShown,
  REFERENCE,
  RESERVED,
  TOKEN_KEYS,
} from './credentials-schema.ts'
import { tokenOf } from './credentials-token.ts'

/** Name of the search list's entry that stands for the encrypted store. */
export const STORE_PLACE = 'store'

/** No credentials at all. */
export function noCredentials(stateDir: string): CredentialsSpec {
  return {
    encryption: true,
    keyFile: join(stateDir, 'secrets.key'),
    storeFile: join(stateDir, 'secrets.json'),
    search: [STORE_PLACE, '/run/secrets'],
    servers: new Map(),
  }
}

/** What the section means, every short form written out. */
export function resolveCredentials(
  raw: RawCredentials | undefined,
  source: YamlSource,
  baseDir: string,
  stateDir: string,
): CredentialsSpec {
  const none = noCredentials(stateDir)
  if (raw === undefined) return none
  const reader = new Reader(source, baseDir, raw.shared)
  const absolute = (path: string): string => resolve(baseDir, path)
  const { enabled, key_file: keyFile } = raw.encryption
  const search = raw.search_list.map(place => (place === STORE_PLACE ? place : absolute(place)))
  return {
    encryption: enabled,
    keyFile: keyFile === undefined ? none.keyFile : absolute(keyFile),
    storeFile: raw.store_file === undefined ? none.storeFile : absolute(raw.store_file),
    search: enabled ? search : search.filter(place => place !== STORE_PLACE),
    servers: new Map(entriesOf(raw).map(([server, entry]) => [server, reader.server(server, entry)])),
  }
}

/** The servers' entries; a bare name is a `use`, nothing is no credential. */
export function entriesOf(raw: RawCredentials): [server: string, entry: RawEntry][] {
  return Object.entries(raw)
    .filter(([name]) => !(RESERVED as readonly string[]).includes(name))
    .map(([name, entry]) => {
      const written = entry as unknown as RawEntry | string | null
      if (written !== null && typeof written === 'object') return [name, written]
      return [name, { ...EMPTY, ...(written !== null && { use: written }) }]
    })
}

const EMPTY: RawEntry = { headers: {}, env: {}, files: {}, clients: {} }

/** A part of what is shown, and the credential it belongs to. */
interface Part {
  readonly headers: readonly HeaderSpec[]
  readonly token: TokenSpec | null
  readonly expiresAt: number | null
}

class Reader {
  readonly #source: YamlSource
  readonly #baseDir: string
  readonly #shared: RawCredentials['shared']

  constructor(source: YamlSource, baseDir: string, shared: RawCredentials['shared']) {
    this.#source = source
    this.#baseDir = baseDir
    this.#shared = shared
  }

  server(server: string, entry: RawEntry): ServerCredentialSpec {
    const path = ['credentials', server]
    const shared = entry.use === undefined ? undefined : this.#shared[entry.use]
    const everybody = this.#withShared(this.#part(entry, path, server), entry.use)
    const clients = Object.entries(entry.clients).map(([id, client]) => {
      const part = this.#part(client, [...path, 'clients', id], `${server}/${id}`)
      return [id, over(this.#withShared(part, client.use), everybody)] as const
    })
    const theirs = shared === undefined ? null : this.#sharedValues(entry.use as string, shared)
    return {
      server,
      everybody,
      clients: new Map(clients),
      env: merge(
        [...this.#values('env', entry.env, path, server), ...this.#namedEnv(entry, path, server)],
        theirs?.env ?? [],
      ),
      files: merge(this.#values('files', entry.files, path, server), theirs?.files ?? []),
    }
  }

  #withShared(own: Part, use: string | undefined): Part {
    const shared = use === undefined ? undefined : this.#shared[use]
    return shared === undefined
      ? own
      : over(own, this.#part(shared, ['credentials', 'shared', use as string], sharedName(use as string)))
  }

  #sharedValues(name: string, shared: RawShared): { env: ReplicaValueSpec[]; files: ReplicaValueSpec[] } {
    const path = ['credentials', 'shared', name]
    const secret = sharedName(name)
    return {
      env: [...this.#values('env', shared.env, path, secret), ...this.#namedEnv(shared, path, secret)],
      files: this.#values('files', shared.files, path, secret),
    }
  }

  #part(raw: RawShown, path: Path, secret: string): Part {
    const ref = (key: string, value: string, prefix = ''): SecretRef => this.#ref([...path, key], value, prefix)
    const named = TOKEN_KEYS.find(key => raw[key] !== undefined)
    const bearer = named === undefined ? null : ref(named, raw[named] as string)
    const token = tokenOf(raw, secret, bearer, (keys, value) => this.#ref([...path, ...keys], value, ''))
    const headers: HeaderSpec[] = Object.entries(raw.headers).map(([name, value]) => ({
      ...{ name: name.toLowerCase(), user: null, secret },
      value: this.#ref([...path, 'headers', name], value.trim(), ''),
    }))
    const add = (name: string, value: SecretRef, user: SecretRef | null): void => {
      if (!headers.some(header => header.name === name)) headers.push({ name, value, user, secret })
    }
    if (named !== undefined && token === null) add('authorization', ref(named, raw[named] as string, 'Bearer '), null)
    if (raw.username !== undefined && raw.password !== undefined)
      add('authorization', ref('password', raw.password), ref('username', raw.username))
    if (raw.api_key !== undefined) add('x-api-key', ref('api_key', raw.api_key), null)
    const own = token === null ? headers : headers.filter(header => header.name !== token.header)
    return { headers: own, token, expiresAt: token === null ? (raw.expires_at ?? null) : null }
  }

  #values(key: string, values: Readonly<Record<string, string>>, path: Path, secret: string): ReplicaValueSpec[] {
    return Object.entries(values).map(([name, value]) => ({
      name,
      value: this.#ref([...path, key, name], value, ''),
      secret,
    }))
  }

  /** What short forms mean to a replica: the key in capitals, and the variable the value came from under its own name. */
  #namedEnv(
    raw: RawShared & { connection_string?: string | undefined },
    path: Path,
    secret: string,
  ): ReplicaValueSpec[] {
    const keys = ['connection_string', ...(raw.refresh === undefined ? TOKEN_KEYS : []), 'api_key'] as const
    return keys.flatMap(key => {
      const text = raw[key]
      if (text === undefined) return []
      const value = this.#ref([...path, key], text, '')
      const variable = WHOLE_VARIABLE.exec(this.#source.written([...path, key]))?.[1]
      const names = new Set([key.toUpperCase(), ...(variable === undefined ? [] : [variable])])
      return [...names].map(name => ({ name, value, secret }))
    })
  }

  /** Only what the file itself says leads elsewhere; what a variable holds is a value, whatever it looks like. */
  #ref(path: Path, value: string, prefix: string): SecretRef {
    const written = REFERENCE.exec(this.#source.written(path))
    const [, word, scheme, rest = ''] = (written !== null && REFERENCE.exec(value)) || []
    if (scheme === undefined || scheme !== written?.[2]) return { from: 'text', prefix, text: new Secret(value) }
    const before = word === undefined ? prefix : `${word} `
    if (scheme === 'secret') return { from: 'secret', prefix: before, name: rest }
    return { from: 'file', prefix: before, path: resolve(this.#baseDir, rest) }
  }
}

/** Never the name of a server's own credential: no server can be called `shared` here, and none has a slash in its name. */
function sharedName(name: string): string {
  return `shared/${name}`
}

const WHOLE_VARIABLE = /^\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-.*)?\}$/s

/** `own`, and of `base` what it does not say itself. */
function over(own: Part, base: Part): CredentialSpec {
  const taken = new Set(own.headers.map(header => header.name))
  if (own.token !== null) taken.add(own.token.header)
  const token = own.token ?? (base.token !== null && taken.has(base.token.header) ? null : base.token)
  const says = own.headers.length > 0 || own.token !== null
  return {
    headers: [...own.headers, ...base.headers.filter(header => !taken.has(header.name))],
    token,
    expiresAt: own.expiresAt ?? (says ? null : base.expiresAt),
  }
}

function merge(own: readonly ReplicaValueSpec[], base: readonly ReplicaValueSpec[]): ReplicaValueSpec[] {
  const names = new Set<string>()
  return [...own, ...base].filter(({ name }) => !names.has(name) && names.add(name))
}
