import { existsSync } from 'node:fs'
import { resolve } from 'node:path'
import { LoadError } from '../base/diagnostic.ts'
import { type HostPort, isLoopback } from '../base/host-port.ts'
import { type Config, DEFAULTS, defaultConfig, type ServerConfig } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
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
  readonly name: string
  readonly flags: RunFlags
}

/** @throws UsageError when there is neither a file nor a URL */
export function settingsOf(urls: readonly string[], flags: RunFlags): Settings {
  const file = flags.config ?? (urls.length === 0 && existsSync(DEFAULT_FILE) ? DEFAULT_FILE : '')
  if (file === '' && urls.length === 0) {
    throw new UsageError(
      `nothing to run: give the URL of a server (sluice run http://127.0.0.1:3001/mcp) or a configuration (sluice run -c ${DEFAULT_FILE}); ./${DEFAULT_FILE} does not exist`,
    )
  }
  if (flags.name !== undefined && urls.length === 0) {
    throw new UsageError(
      '--name names the server behind a URL: give the URL too, or name the server in the configuration',
    )
  }
  const absolute = file === '' ? '' : resolve(file)
  return { file: absolute, urls: urls.map(checkedUrl), name: flags.name ?? DEFAULT_SERVER, flags }
}

/** @throws LoadError with every problem of the file */
export function configOf(settings: Settings, env: NodeJS.ProcessEnv): Config {
  const { file, urls, flags } = settings
  const base = file === '' ? defaultConfig(env) : loadConfig(file, { env, allowNoServers: urls.length > 0 })
  const config: Config = {
    ...base,
    listen: flags.listen ?? base.listen,
    admin: flags.admin === 'off' ? null : (flags.admin ?? base.admin),
    workers: flags.workers ?? base.workers,
    logLevel: flags.logLevel ?? base.logLevel,
    logFormat: flags.logFormat ?? base.logFormat,
    policies: [...base.policies, ...flags.policy.map(path => resolve(path))],
    interceptorDirs: [...base.interceptorDirs, ...flags.interceptors.map(path => resolve(path))],
    servers: withUrls(base.servers, settings),
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
  return configOf({ file: file === '' ? '' : resolve(file), urls: [], name: '', flags: given }, process.env)
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
