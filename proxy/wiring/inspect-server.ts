import type { Json, JsonObject } from '../api/index.ts'
import type { Config, ServerConfig } from '../config/config.ts'
import type { ServerCredentialSpec } from '../credentials/spec.ts'
import type { ContainerSpec } from '../fleet/spec/container.ts'
import type { Source } from '../fleet/spec.ts'

const HIDDEN = '…'

/**
 * What is configured for a server, every default filled in, for people. Of variables, header fields, labels and secrets
 * only the names; of arguments only the names of options: any other part of a command line may be a secret.
 */
export function inspectServer(server: ServerConfig, { credentials }: Config): JsonObject {
  const { source, life, container, bridge, upstream, headers, connections, forwardAuthorization } = server
  const isOurs = source.kind === 'process' || source.kind === 'image'
  const isStdio = source.kind === 'process' ? source.transport === 'stdio' : container !== null && container.port === 0
  const secrets = credentials.servers.get(server.name)
  return {
    source: sourceOf(source, container),
    ...(isOurs && { life: plain(life) }),
    ...(isOurs && isStdio && { bridge: plain(bridge) }),
    spreading: plain(upstream),
    connections,
    headers: headers.map(([name]) => name),
    forward_authorization: forwardAuthorization,
    credentials: secrets === undefined ? null : credentialsOf(secrets),
  }
}

function credentialsOf({ everybody, clients, env, files }: ServerCredentialSpec): JsonObject {
  const { headers, token } = everybody
  const names = headers.map(({ name }) => name)
  return {
    headers: token === null ? names : [...names, token.header],
    env: namesOf(env),
    files: namesOf(files),
    clients: [...clients.keys()],
  }
}

function sourceOf(source: Source, container: ContainerSpec | null): JsonObject {
  const { kind } = source
  if (source.kind === 'static') return { kind, endpoints: source.places.map(({ id }) => id.split('?', 1)[0] as string) }
  if (source.kind === 'dns') return { kind, ...plainObject({ ...source, path: withoutQuery(source.path) }) }
  if (source.kind === 'docker') return { kind, ...plainObject({ ...source, path: withoutQuery(source.path) }) }
  if (source.kind === 'process') {
    const { command, transport, portEnv, path, cwd, env } = source
    const [program = '', ...args] = command
    const shared = {
      kind,
      command: [program, ...args.map(hideValue)],
      transport,
      cwd,
      env: Object.keys(env).toSorted(),
    }
    return transport === 'http' ? { ...shared, port_env: portEnv, path: withoutQuery(path) } : shared
  }
  return container === null ? { kind, image: source.image } : { kind, ...containerOf(container) }
}

function containerOf(container: ContainerSpec): JsonObject {
  const { entrypoint, args, env, labels, path, verify, ...rest } = container
  const [program = '', ...more] = entrypoint ?? []
  return {
    ...plainObject(rest),
    entrypoint: entrypoint === null ? null : [program, ...more.map(hideValue)],
    args: args.map(hideValue),
    env: Object.keys(env).toSorted(),
    labels: Object.keys(labels).toSorted(),
    path: withoutQuery(path),
    verify: verify !== null,
  }
}

/** `--token=x` → `--token=…`, `-px` → `-p…`, `x` → `…`. */
function hideValue(argument: string): string {
  const long = /^--[a-z][a-z0-9-]*(=)?/i.exec(argument)
  if (long !== null && (long[1] !== undefined || long[0] === argument)) {
    return long[1] === undefined ? argument : `${long[0]}${HIDDEN}`
  }
  if (/^-[a-z]$/i.test(argument)) return argument
  return /^-[a-z]/i.test(argument) ? `${argument.slice(0, 2)}${HIDDEN}` : HIDDEN
}

function withoutQuery(path: string): string {
  return path.split('?', 1)[0] as string
}

function namesOf(entries: readonly { readonly name: string }[]): string[] {
  return entries.map(({ name }) => name)
}

function plainObject(value: object): JsonObject {
  return plain(value) as JsonObject
}

/** Keys as in sluice.yaml: `idleTimeoutMs` → `idle_timeout_ms`. */
function plain(value: unknown): Json {
  if (Array.isArray(value)) return value.map(plain)
  if (value instanceof Set) return [...value].map(plain)
  if (value instanceof Map) return plain(Object.fromEntries(value))
  if (value instanceof RegExp) return value.source
  if (typeof value !== 'object' || value === null) return (value ?? null) as Json
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [snake(key), plain(inner)]))
}

function snake(key: string): string {
  return key.replace(/[A-Z]/g, letter => `_${letter.toLowerCase()}`)
}
