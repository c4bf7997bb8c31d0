import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { LoadError } from '../base/diagnostic.ts'
import { type HostPort, isLoopback } from '../base/host-port.ts'
import { type Config, DEFAULTS, defaultConfig, type ServerConfig } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { type Imported, readMcpJson } from '../config/mcp-json.ts'
import { serversGiven } from '../config/resolve-servers.ts'
import { NO_BRIDGE } from '../config/servers/bridge-keys.ts'
import { LIFE_DEFAULTS, staticSource } from '../config/servers/source-keys.ts'
import { UPSTREAM_DEFAULTS } from '../config/servers/upstream-keys.ts'
import type { LogLevel } from './log-level.ts'
import { UsageError } from './usage-error.ts'

/** What is used when the command line names no file. */
export const DEFAULT_FILE = 'sluice.yaml'
/** Name of a server that was given as a bare URL. */
export const DEFAULT_SERVER = 'default'

/** Options of `sluice run`, as the command line parser gives them. */
export interface RunFlags {
  readonly config?: string
  readonly listen?: HostPort
  readonly admin?: HostPort | 'off'
  readonly policy: readonly string[]
  readonly interceptors: readonly string[]
  readonly workers?: number
  readonly name?: string
  readonly logLevel?: LogLevel
  readonly logFormat?: 'json' | 'pretty'
  readonly forwardAuthorization?: boolean
  /** A client's list of servers: `mcp.json`. */
  readonly from?: string
  readonly strict?: boolean
  readonly demo?: boolean
}

/**
 * The configuration that a command line means: the file's, with what the flags say over it. Workers get this as plain
 * data, so that a reload in any process reads the same.
 */
export interface Settings {
  /** Absolute; `''` = none. */
  readonly file: string
  /** Endpoints of the server `name`; empty = only the servers of the file. */
  readonly urls: readonly string[]
  /** Program and arguments of the server `name`, started by us and spoken to over stdio; empty = none. */
  readonly command: readonly string[]
  /** A client's list of servers, absolute path; `''` = none. */
  readonly from: string
  readonly name: string
  readonly flags: RunFlags
}

/**
 * @param command what stood behind `--`
 * @throws UsageError when nothing says which servers there are
 */
export function settingsOf(urls: readonly string[], flags: RunFlags, command: readonly string[] = []): Settings {
  const given = urls.length > 0 || command.length > 0 || flags.from !== undefined
  const file = flags.config ?? (!given && existsSync(DEFAULT_FILE) ? DEFAULT_FILE : '')
  if (file === '' && !given) {
    throw new UsageError(
      `nothing to run: give the URL of a server (sluice run http://127.0.0.1:3001/mcp), a command (sluice run -- npx -y some-server) or a configuration (sluice run -c ${DEFAULT_FILE}); ./${DEFAULT_FILE} does not exist`,
    )
  }
  if (urls.length > 0 && command.length > 0) {
    throw new UsageError('a URL and a command: give either, or name both servers in a configuration')
  }
  if (flags.name !== undefined && urls.length === 0 && command.length === 0) {
    throw new UsageError(
      '--name names the server behind a URL or a command: give that too, or name the server in the configuration',
    )
  }
  return {
    file: file === '' ? '' : resolve(file),
    urls: urls.map(checkedUrl),
    command,
    from: flags.from === undefined ? '' : resolve(flags.from),
    name: flags.name ?? DEFAULT_SERVER,
    flags,
  }
}

/** @throws LoadError with every problem of the file */
export function configOf(settings: Settings, env: NodeJS.ProcessEnv): Config {
  const { file, urls, command, from, flags } = settings
  const given = urls.length > 0 || command.length > 0 || from !== ''
  const base = file === '' ? defaultConfig(env) : loadConfig(file, { env, allowNoServers: given })
  const imported = from === '' ? null : readMcpJson(from, env)
  const config: Config = {
    ...base,
    listen: flags.listen ?? base.listen,
    admin: flags.admin === 'off' ? null : (flags.admin ?? base.admin),
    workers: flags.workers ?? base.workers,
    logLevel: flags.logLevel ?? base.logLevel,
    logFormat: flags.logFormat ?? base.logFormat,
    policies: [...base.policies, ...flags.policy.map(path => resolve(path))],
    interceptorDirs: [...base.interceptorDirs, ...flags.interceptors.map(path => resolve(path))],
    servers: withUrls(merged(base.servers, imported, settings), settings),
    warnings: [...base.warnings, ...(imported?.warnings ?? [])],
  }
  checkFlags(config, flags)
  return config
}

/** For commands that only look: the file named, else ./sluice.yaml, else what holds without any file. */
export function configOrDefault(flags: {
  readonly config?: string
  readonly policy?: readonly string[]
  readonly interceptors: readonly string[]
}): Config {
  // A policy on the command line is meant to be looked at by itself.
  const alone = (flags.policy ?? []).length > 0
  const file = flags.config ?? (!alone && existsSync(DEFAULT_FILE) ? DEFAULT_FILE : '')
  const given = { policy: flags.policy ?? [], interceptors: flags.interceptors }
  return configOf(
    { file: file === '' ? '' : resolve(file), urls: [], command: [], from: '', name: '', flags: given },
    process.env,
  )
}

/** The servers of the file, those of a client's list, and that of the command line; the later goes before the earlier. */
function merged(servers: readonly ServerConfig[], imported: Imported | null, settings: Settings): ServerConfig[] {
  const { command, name } = settings
  const listed = imported === null ? [] : serversGiven(imported.servers, imported.source)
  // One that is named on the command line is wanted now: what is wrong with it shows at once.
  const started = command.length === 0 ? [] : serversGiven({ [name]: { command, replicas: 1 } })
  const byName = new Map([...servers, ...listed, ...started].map(server => [server.name, server]))
  return [...byName.values()]
}

function withUrls(servers: readonly ServerConfig[], { urls, name, flags }: Settings): readonly ServerConfig[] {
  if (urls.length === 0) return servers
  const known = servers.find(server => server.name === name)
  const server: ServerConfig =
    known === undefined
      ? {
          name,
          urls,
          source: staticSource(urls),
          life: LIFE_DEFAULTS,
          bridge: NO_BRIDGE,
          container: null,
          forwardAuthorization: forwards(flags),
          headers: [],
          connections: DEFAULTS.connections,
          upstream: UPSTREAM_DEFAULTS,
        }
      : { ...known, urls, source: staticSource(urls) }
  return [...servers.filter(other => other.name !== name), server]
}

/** A client's token goes to a server only where the operator says so (MCP, authorization, "token passthrough"). */
function forwards(flags: RunFlags): boolean {
  return flags.forwardAuthorization === true
}

/** What the file's own checks cannot see, because a flag came on top. */
function checkFlags(config: Config, flags: RunFlags): void {
  const { listen, admin } = config
  if (admin !== null && admin.port !== 0 && admin.port === listen.port && admin.host === listen.host) {
    throw new UsageError(
      `--listen and --admin are the same place (${listen.host}:${listen.port}): give each its own port`,
    )
  }
  if (config.trustClientId && !isLoopback(listen.host)) {
    const text = 'trust_client_id would let anybody who reaches this address claim any name: use it on loopback only'
    throw new UsageError(`--listen ${listen.host}:${listen.port}: ${text}`)
  }
  if (flags.strict === true && config.warnings.length > 0) throw new LoadError(config.warnings)
}

function checkedUrl(text: string): string {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'http:' && url.protocol !== 'https:')) {
    const hint = /\.ya?ml$/.test(text) ? ` (for a configuration: sluice run -c ${text})` : ''
    throw new UsageError(`"${text}": expected the URL of an MCP endpoint, such as http://127.0.0.1:3001/mcp${hint}`)
  }
  if (url.username !== '' || url.password !== '') {
    throw new UsageError(
      `${url.host}: leave user and password out of the URL; put credentials into "headers" of a configuration`,
    )
  }
  if (url.hash !== '') throw new UsageError(`"${text}": leave out the fragment (#…)`)
  return url.href
}
