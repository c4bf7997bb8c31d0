import { resolve } from 'node:path'
import type { AccessControl, ClientRules, Environment, JsonObject, Logger, Store } from '../api/index.ts'
import { createCounter } from '../policy/counter.ts'
import { Matcher, type MatchPatterns } from '../policy/match.ts'
import type { FrozenClock } from './frozen-clock.ts'
import { ProbeStore } from './probe-store.ts'

/** One line the interceptor logged. */
export interface LogLine {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly fields: Readonly<Record<string, unknown>>
  readonly text: string
}

/** The policy's `access_control` section, as short as a test wants it: rules that are left out say nothing. */
export interface ProbeAccessControl {
  readonly defaultPolicy?: 'allow' | 'deny'
  readonly clients?: Readonly<Record<string, Partial<ClientRules>>>
}

export interface ProbeEnvironmentOptions {
  /** Names of the servers that are configured. Default: the probe's server. */
  readonly servers?: readonly string[]
  /** Default: the policy has no `access_control`. */
  readonly accessControl?: ProbeAccessControl
  /** What `environment.tools(server)` knows, by server: the `tools` of a `tools/list` result. */
  readonly tools?: Readonly<Record<string, readonly JsonObject[]>>
  /** `match:` of the chain entry, as `environment.applies` knows it; the probe itself runs every message. Default: everything. */
  readonly match?: MatchPatterns
  /** What instances would share. Default: a memory store by the probe's clock. */
  readonly store?: Store
  /** Where relative paths in options start. Default: the working directory. */
  readonly baseDir?: string
}

/** What a proxy would hand to `create`, made of things a test can see into. */
export function probeEnvironment(
  entry: string,
  clock: FrozenClock,
  logs: LogLine[],
  servers: readonly string[],
  options: ProbeEnvironmentOptions,
): Environment {
  const baseDir = resolve(options.baseDir ?? '.')
  const matcher = new Matcher(options.match ?? {})
  const tools = new Map(Object.entries(options.tools ?? {}).map(([server, list]) => [server, byName(list)]))
  return {
    entry,
    clock,
    logger: collector(logs),
    store: options.store ?? new ProbeStore(clock),
    servers,
    accessControl: options.accessControl === undefined ? null : accessControl(options.accessControl),
    rehearsal: null,
    counter: createCounter,
    applies: (...message) => matcher.fits(...message),
    baseDir,
    resolve: path => resolve(baseDir, path),
    tools: server => tools.get(server) ?? null,
  }
}

const NO_RULES: ClientRules = {
  allowedServers: null,
  allowedTools: null,
  rateLimit: null,
  requestsPerMinute: null,
  tokensPerDay: null,
}

function accessControl({ defaultPolicy = 'deny', clients = {} }: ProbeAccessControl): AccessControl {
  const rules = Object.entries(clients).map(([id, given]) => [id, { ...NO_RULES, ...given }] as const)
  return { defaultPolicy, clients: new Map(rules) }
}

function byName(tools: readonly JsonObject[]): ReadonlyMap<string, JsonObject> {
  return new Map(tools.map(tool => [String(tool.name), tool]))
}

function collector(logs: LogLine[]): Logger {
  const at = (level: LogLine['level']) => (fields: LogLine['fields'], text: string) => {
    logs.push({ level, fields, text })
  }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}
