import { availableParallelism } from 'node:os'
import { dirname, resolve } from 'node:path'
import { type Diagnostic, inOrder, LoadError } from '../base/diagnostic.ts'
import { readYaml } from '../base/read-yaml.ts'
import { validate } from '../base/validate.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import { checkConfig } from './check.ts'
import type { ClientConfig, Config, Limits, LogLevel, Timeouts } from './config.ts'
import { resolveCredentials } from './credentials.ts'
import { resolveFleet } from './fleet-schema.ts'
import { resolveServers } from './resolve-servers.ts'
import { configSchema, logLevel, type RawConfig } from './schema.ts'
import { resolveShadow } from './shadow-schema.ts'
import { defaultStateDir } from './state-dir.ts'
import { resolveStore } from './store-schema.ts'

export interface LoadOptions {
  readonly env: NodeJS.ProcessEnv
  /** Whether a file without `servers` is accepted, because the command line names one. Default false. */
  readonly allowNoServers?: boolean
}

/**
 * Reads `sluice.yaml`. Relative paths in it start at its folder. `LOG_LEVEL` of the environment goes before the file.
 * @throws LoadError with every problem found
 */
export function loadConfig(file: string, options: LoadOptions): Config {
  const source = readYaml(file, options.env)
  if (source.diagnostics.length > 0) throw new LoadError(source.diagnostics)
  const { value, diagnostics } = validate(source, configSchema)
  if (value === null) throw new LoadError(diagnostics)
  const found = checkConfig(value, source, options.allowNoServers ?? false)
  const errors = found.filter(diagnostic => diagnostic.severity === 'error')
  if (errors.length > 0) throw new LoadError(inOrder(errors))
  return resolveConfig(value, source, resolve(file), options.env, found)
}

function resolveConfig(
  raw: RawConfig,
  source: YamlSource,
  file: string,
  env: NodeJS.ProcessEnv,
  found: readonly Diagnostic[],
): Config {
  const baseDir = dirname(file)
  const absolute = (path: string): string => resolve(baseDir, path)
  const level = resolveLogLevel(raw, env)
  const stateDir = raw.state_dir === undefined ? defaultStateDir(env) : absolute(raw.state_dir)
  return Object.freeze({
    file,
    baseDir,
    listen: raw.gateway?.port === undefined ? raw.listen : { host: raw.listen.host, port: raw.gateway.port },
    admin: raw.admin,
    workers: raw.workers === 'auto' ? availableParallelism() : raw.workers,
    logLevel: level.logLevel,
    logFormat: raw.log_format,
    accessLog: raw.access_log,
    tls: raw.tls === undefined ? null : { cert: absolute(raw.tls.cert), key: absolute(raw.tls.key) },
    sessionKey: raw.session_key ?? null,
    stateDir,
    controlSocket: raw.control_socket === 'auto' ? 'auto' : raw.control_socket && absolute(raw.control_socket),
    store: resolveStore(raw.store, baseDir),
    clients: resolveClients(raw),
    anonymous: raw.anonymous,
    trustClientId: raw.trust_client_id,
    allowedHosts: raw.allowed_hosts,
    allowedOrigins: raw.allowed_origins,
    limits: resolveLimits(raw.limits),
    timeouts: resolveTimeouts(raw.timeouts),
    servers: resolveServers(raw.servers, absolute),
    credentials: resolveCredentials(raw.credentials, source, baseDir, stateDir),
    fleet: resolveFleet(raw.fleet, absolute),
    valueFiles: source.valueFiles,
    policies: raw.policies.map(absolute),
    inlinePolicies: inlinePolicies(raw, source),
    shadow: resolveShadow(raw, absolute),
    interceptorDirs: raw.interceptor_dirs.map(absolute),
    interceptorModules: raw.interceptor_modules,
    warnings: [...found, ...level.warnings],
  })
}

function inlinePolicies(raw: RawConfig, source: YamlSource): YamlSource[] {
  const parts: YamlSource[] = []
  if (raw.policy !== undefined) parts.push(source.sub(['policy']))
  if (raw.access_control !== undefined) parts.push(source.pick('access_control'))
  return parts
}

function resolveLogLevel(raw: RawConfig, env: NodeJS.ProcessEnv): { logLevel: LogLevel; warnings: Diagnostic[] } {
  const fromFile = raw.gateway?.log_level ?? raw.log_level
  if (env.LOG_LEVEL === undefined || env.LOG_LEVEL === '') return { logLevel: fromFile, warnings: [] }
  const parsed = logLevel.safeParse(env.LOG_LEVEL)
  if (parsed.success) return { logLevel: parsed.data, warnings: [] }
  const text = 'LOG_LEVEL: expected one of trace, debug, info, warn, error, fatal, silent; it is ignored'
  return { logLevel: fromFile, warnings: [{ file: '<environment>', line: 0, column: 0, severity: 'warning', text }] }
}

function resolveClients(raw: RawConfig): ClientConfig[] {
  return Object.entries(raw.clients).map(([name, { api_key_sha256: hashes }]) => ({
    name,
    keyHashes: [hashes].flat().map(hex => Buffer.from(hex, 'hex')),
  }))
}

function resolveLimits(raw: RawConfig['limits']): Limits {
  return {
    maxBodyBytes: raw.max_body_bytes,
    maxHeaderBytes: raw.max_header_bytes,
    maxHeaders: raw.max_headers,
    maxDepth: raw.max_depth,
    maxBatch: raw.max_batch,
    maxEventBytes: raw.max_event_bytes,
    maxBufferedBytes: raw.max_buffered_bytes,
    maxConnections: raw.max_connections,
    maxInFlight: raw.max_in_flight,
  }
}

function resolveTimeouts(raw: RawConfig['timeouts']): Timeouts {
  return {
    connectMs: raw.connect,
    firstByteMs: raw.first_byte,
    idleMs: raw.idle,
    headerMs: raw.header,
    bodyMs: raw.body,
    drainMs: raw.drain,
    stallMs: raw.stall,
    keepAliveMs: raw.keep_alive,
  }
}
