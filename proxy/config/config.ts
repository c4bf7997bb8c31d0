import type { Diagnostic } from '../base/diagnostic.ts'
import type { HostPort } from '../base/host-port.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import type { CredentialsSpec } from '../credentials/spec.ts'
import type { BridgeSpec } from '../fleet/spec/bridge.ts'
import type { ContainerSpec, FleetSettings } from '../fleet/spec/container.ts'
import type { LifeSpec, Source } from '../fleet/spec.ts'
import type { UpstreamSettings } from '../upstream/settings.ts'
import { noCredentials } from './credentials.ts'
import { NO_FLEET } from './fleet-schema.ts'
import { defaultStateDir } from './state-dir.ts'
import type { StoreConfig } from './store-config.ts'

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent'

/** One MCP server that Sluice fronts. */
export interface ServerConfig {
  readonly name: string
  /** Endpoints of static replicas, http, https or unix, normalised; empty where others or Sluice itself run them. */
  readonly urls: readonly string[]
  readonly source: Source
  readonly life: LifeSpec
  /** Where replicas speak over stdio. */
  readonly bridge: BridgeSpec
  /** Where the source is an image; else `null`. */
  readonly container: ContainerSpec | null
  /** Whether the client's own `Authorization` header goes to the server. */
  readonly forwardAuthorization: boolean
  /** Header fields added to every upstream request; names lower-case. Values may be secrets. */
  readonly headers: readonly (readonly [name: string, value: string])[]
  /** The most connections to one replica. */
  readonly connections: number
  readonly upstream: UpstreamSettings
}

/** A client that authenticates by an API key. */
export interface ClientConfig {
  readonly name: string
  /** SHA-256 of each key that is valid for it, 32 bytes. */
  readonly keyHashes: readonly Buffer[]
}

/** Bounds of everything a peer could make grow. */
export interface Limits {
  /** Largest body of a client's request. */
  readonly maxBodyBytes: number
  /** Largest head of a request, all fields together. */
  readonly maxHeaderBytes: number
  readonly maxHeaders: number
  /** Deepest nesting of a JSON message. */
  readonly maxDepth: number
  /** Most messages in one batch. */
  readonly maxBatch: number
  /** Largest single SSE event, or JSON answer, that is held to be looked at. */
  readonly maxEventBytes: number
  /** Most bytes all exchanges together may hold back. */
  readonly maxBufferedBytes: number
  readonly maxConnections: number
  /** Most exchanges at a time in one worker. */
  readonly maxInFlight: number
}

/** Time limits in milliseconds; 0 = none. */
export interface Timeouts {
  /** To establish a connection with a replica. */
  readonly connectMs: number
  /** From sending a request until the head of its answer. */
  readonly firstByteMs: number
  /** Silence on a stream. */
  readonly idleMs: number
  /** Until the head of a client's request is complete. */
  readonly headerMs: number
  /** Until the body of a client's request is complete. */
  readonly bodyMs: number
  /** How long streams may run on after shutdown was asked for. */
  readonly drainMs: number
  /** How long a client may leave a full stream unread. */
  readonly stallMs: number
  /** How long an idle client connection stays open. */
  readonly keepAliveMs: number
}

/** `shadow:`; shares are 0 to 1. */
export interface ShadowConfig {
  /** At least one. */
  readonly policies: readonly string[]
  readonly maxCpu: number
  readonly sample: number
  readonly maxQueue: number
  readonly maxBytes: number
}

/** `sluice.yaml`, resolved: every default filled in, every path absolute, every unit a number. */
export interface Config {
  /** The file it came from; `''` when there was none. */
  readonly file: string
  /** Where relative paths start: the folder of the file, else the working directory. */
  readonly baseDir: string
  readonly listen: HostPort
  /** `null` = no admin listener. */
  readonly admin: HostPort | null
  /** Number of worker processes, at least 1; `auto` is resolved. */
  readonly workers: number
  readonly logLevel: LogLevel
  readonly logFormat: 'auto' | 'json' | 'pretty'
  readonly accessLog: boolean
  /** Files of PEM text. */
  readonly tls: { readonly cert: string; readonly key: string } | null
  /** Secret that seals session ids, at least 32 characters; `null` = made once in `stateDir`. */
  readonly sessionKey: string | null
  readonly stateDir: string
  /** Absolute path of the control socket; `auto` = `<stateDir>/control-<listen port>.sock`, `null` = none. */
  readonly controlSocket: string | null
  /** What workers and instances share. */
  readonly store: StoreConfig
  readonly clients: readonly ClientConfig[]
  readonly anonymous: 'allow' | 'deny'
  /** Whether a bare `X-Client-ID` names the client; only legal on a loopback listener. */
  readonly trustClientId: boolean
  /** Values of `Host` that are accepted besides the listener's own. */
  readonly allowedHosts: readonly string[]
  /** Origins of browsers that are accepted, `*` = any. */
  readonly allowedOrigins: readonly string[]
  readonly limits: Limits
  readonly timeouts: Timeouts
  readonly servers: readonly ServerConfig[]
  /** What Sluice shows to servers, and gives to replicas it starts. */
  readonly credentials: CredentialsSpec
  /** What holds for the replicas of all servers. */
  readonly fleet: FleetSettings
  /** Files that values of this file came from (`NAME_FILE`); when one changes, so does the configuration. */
  readonly valueFiles: readonly string[]
  /** Policy files. */
  readonly policies: readonly string[]
  /** `policy:` and `access_control:` of the configuration itself, for `compilePolicies`. */
  readonly inlinePolicies: readonly YamlSource[]
  /** A second policy that exchanges are run through after they have ended; `null` = none. */
  readonly shadow: ShadowConfig | null
  readonly interceptorDirs: readonly string[]
  readonly interceptorModules: readonly string[]
  readonly warnings: readonly Diagnostic[]
}

const KIB = 1024
const MIB = 1024 * KIB

/** What holds where `sluice.yaml` is silent, or where there is none. */
export const DEFAULTS = Object.freeze({
  listen: Object.freeze({ host: '127.0.0.1', port: 8080 }),
  admin: Object.freeze({ host: '127.0.0.1', port: 8081 }),
  workers: 1,
  logLevel: 'info',
  logFormat: 'auto',
  accessLog: true,
  store: 'memory',
  anonymous: 'allow',
  trustClientId: false,
  controlSocket: 'auto',
  connections: 128,
  limits: Object.freeze({
    maxBodyBytes: 16 * MIB,
    maxHeaderBytes: 32 * KIB,
    maxHeaders: 100,
    maxDepth: 128,
    maxBatch: 100,
    maxEventBytes: 16 * MIB,
    maxBufferedBytes: 512 * MIB,
    maxConnections: 20_000,
    maxInFlight: 10_000,
  }),
  timeouts: Object.freeze({
    connectMs: 5_000,
    firstByteMs: 300_000,
    idleMs: 1_800_000,
    headerMs: 10_000,
    bodyMs: 30_000,
    drainMs: 30_000,
    stallMs: 60_000,
    keepAliveMs: 65_000,
  }),
} as const)

/** The configuration that holds without any file: every default, no servers. */
export function defaultConfig(env: NodeJS.ProcessEnv = process.env): Config {
  const { connections: _, ...defaults } = DEFAULTS
  return Object.freeze({
    ...defaults,
    file: '',
    baseDir: process.cwd(),
    tls: null,
    sessionKey: null,
    stateDir: defaultStateDir(env),
    clients: [],
    allowedHosts: [],
    allowedOrigins: [],
    servers: [],
    credentials: noCredentials(defaultStateDir(env)),
    fleet: NO_FLEET,
    valueFiles: [],
    policies: [],
    inlinePolicies: [],
    shadow: null,
    interceptorDirs: [],
    interceptorModules: [],
    warnings: [],
  })
}
