import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineInterceptor, type Hook, type Hooks, type Interceptor, type Kind, type Look, z } from '#api'
import {
  type Config,
  DEFAULTS,
  defaultConfig,
  type Limits,
  type ServerConfig,
  type Timeouts,
} from '../../proxy/config/config.ts'
import { NO_BRIDGE } from '../../proxy/config/servers/bridge-keys.ts'
import { LIFE_DEFAULTS, staticSource } from '../../proxy/config/servers/source-keys.ts'
import { UPSTREAM_DEFAULTS } from '../../proxy/config/servers/upstream-keys.ts'
import { type Sluice, startSluice } from '../../proxy/main.ts'
import { channels, type ExchangeEnd, type Notice, type Refusal } from '../../proxy/observe/channels.ts'
import { type Scope, until } from './scope.ts'
import {
  type Script,
  type ScriptedUpstream,
  type ScriptedUpstreamOptions,
  startScriptedUpstream,
} from './scripted-upstream.ts'

export interface ProxyOptions {
  /** Name -> URL, or URLs of replicas; a bare URL is a server named `s`. */
  servers: string | Record<string, string | readonly string[]>
  /** YAML of a policy file. Default: `interceptors` in order, each matching everything. */
  policy?: string
  /** Interceptors given in code; the policy names them as it names any other. */
  interceptors?: readonly Interceptor[]
  clients?: Config['clients']
  limits?: Partial<Limits>
  timeouts?: Partial<Timeouts>
  /** Further keys of the configuration. */
  config?: Partial<Config>
  /** What holds for every server. */
  server?: Partial<Omit<ServerConfig, 'name' | 'urls'>>
  /** 32 bytes. Default: the same for every proxy of the tests. */
  sessionKey?: Buffer
}

/** Sluice in this process, wired as `sluice run` wires it. */
export interface TestProxy {
  readonly sluice: Sluice
  readonly url: string
  /** `…/servers/NAME/mcp`, or `…/mcp` without a name. */
  endpoint(server?: string): string
  /** Ends of exchanges so far, in order. */
  readonly ends: readonly ExchangeEnd[]
  readonly refusals: readonly Refusal[]
  readonly notices: readonly Notice[]
  /** Waits until `count` exchanges have ended, and gives the last of them. */
  ended(count: number): Promise<ExchangeEnd>
  close(): Promise<void>
}

export const TEST_KEY = Buffer.alloc(32, 7)

/** Starts the proxy on a free port; it is closed with `scope`. Its exchanges are told from others' by its servers' names. */
export async function startProxy(scope: Scope, options: ProxyOptions): Promise<TestProxy> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-test-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  const watch = new Watch()
  scope.after(() => watch.stop())
  const config = configOf(options, dir)
  const sluice = await startSluice({ config, sessionKey: options.sessionKey ?? TEST_KEY, watch: false })
  scope.after(() => sluice.close())
  return {
    sluice,
    url: sluice.url,
    endpoint: server => (server === undefined ? `${sluice.url}/mcp` : `${sluice.url}/servers/${server}/mcp`),
    ends: watch.ends,
    refusals: watch.refusals,
    notices: watch.notices,
    ended: async count => {
      await until(() => watch.ends.length >= count, `the end of exchange ${count} (${watch.ends.length} so far)`)
      return watch.ends[count - 1] as ExchangeEnd
    },
    close: () => sluice.close(),
  }
}

function configOf(options: ProxyOptions, dir: string): Config {
  const { interceptors = [] } = options
  const policy = join(dir, 'policy.yaml')
  writeFileSync(policy, options.policy ?? chainOf(interceptors))
  return {
    ...defaultConfig({}),
    baseDir: dir,
    stateDir: dir,
    listen: { host: '127.0.0.1', port: 0 },
    admin: null,
    clients: options.clients ?? [],
    limits: { ...DEFAULTS.limits, ...options.limits },
    timeouts: { ...DEFAULTS.timeouts, ...options.timeouts },
    servers: serversOf(options),
    policies: [policy],
    interceptorDirs: interceptors.length === 0 ? [] : [moduleDir(dir, interceptors)],
    ...options.config,
  }
}

function serversOf({ servers, server }: ProxyOptions): ServerConfig[] {
  const named = typeof servers === 'string' ? { s: servers } : servers
  return Object.entries(named).map(([name, urls]) => ({
    name,
    urls: [urls].flat(),
    source: staticSource([urls].flat()),
    life: LIFE_DEFAULTS,
    bridge: NO_BRIDGE,
    container: null,
    forwardAuthorization: false,
    headers: [],
    connections: DEFAULTS.connections,
    upstream: UPSTREAM_DEFAULTS,
    ...server,
  }))
}

function chainOf(interceptors: readonly Interceptor[]): string {
  return `version: 1\ninterceptors: ${JSON.stringify(interceptors.map(({ name }) => ({ use: name })))}\n`
}

const given = new Map<string, readonly Interceptor[]>()
Object.assign(globalThis, { [Symbol.for('sluice.test.interceptors')]: given })

/** A folder with one module that exports interceptors which live in this process, so that the real registry finds them. */
function moduleDir(dir: string, interceptors: readonly Interceptor[]): string {
  given.set(dir, interceptors)
  const modules = mkdtempSync(join(dir, 'interceptors-'))
  const map = `globalThis[Symbol.for('sluice.test.interceptors')]`
  writeFileSync(join(modules, 'given.mjs'), `export default ${map}.get(${JSON.stringify(dir)})\n`)
  return modules
}

/** Collects what one test publishes. The tests of a file run one after the other, so all of it is its own. */
class Watch {
  readonly ends: ExchangeEnd[] = []
  readonly refusals: Refusal[] = []
  readonly notices: Notice[] = []
  readonly #onEnd = (end: unknown): void => void this.ends.push(end as ExchangeEnd)
  readonly #onRefusal = (refusal: unknown): void => void this.refusals.push(refusal as Refusal)
  readonly #onNotice = (notice: unknown): void => void this.notices.push(notice as Notice)

  constructor() {
    channels.exchangeEnd.subscribe(this.#onEnd)
    channels.refusal.subscribe(this.#onRefusal)
    channels.notice.subscribe(this.#onNotice)
  }

  stop(): void {
    channels.exchangeEnd.unsubscribe(this.#onEnd)
    channels.refusal.unsubscribe(this.#onRefusal)
    channels.notice.unsubscribe(this.#onNotice)
  }
}

const KINDS: readonly Kind[] = ['request', 'response', 'notification']

export interface EntryOptions {
  looks?: { readonly [K in Kind]?: Look }
  onFailure?: 'open' | 'closed'
  timeoutMs?: number
}

/** An interceptor made of its hooks alone; looks at JSON and may edit, unless `looks` says otherwise. */
export function interceptor<S = unknown>(name: string, hooks: Hooks<S>, options: EntryOptions = {}): Interceptor {
  const looks: { [K in Kind]?: Look } = {}
  for (const kind of KINDS) if (hooks[kind] !== undefined) looks[kind] = { need: 'json', edits: true }
  return defineInterceptor<Record<string, never>, S>({
    name,
    summary: `the ${name} of a test`,
    options: z.object({}) as never,
    looks: options.looks ?? looks,
    onFailure: options.onFailure ?? 'closed',
    ...(options.timeoutMs !== undefined && { timeoutMs: options.timeoutMs }),
    create: () => hooks,
  })
}

/** Reads every message as JSON, both ways, and lets it go on as it is. */
export function reader(name: string): Interceptor {
  const read: Hook<unknown> = message => {
    message.json()
    return undefined
  }
  return interceptor(name, { request: read, response: read, notification: read })
}

/** How a message can meet the proxy: both must look the same from outside. */
export const VIEWS: readonly { readonly view: string; readonly interceptors: readonly Interceptor[] }[] = [
  { view: 'nobody looks', interceptors: [] },
  { view: 'two interceptors read JSON', interceptors: [reader('read-one'), reader('read-two')] },
]

/** A scripted upstream with a proxy in front of it. */
export interface Pair {
  readonly upstream: ScriptedUpstream
  readonly proxy: TestProxy
  /** The proxy's endpoint. */
  readonly url: string
}

/** What is hung here is closed before what is hung on `scope` from now on, also when that fails. */
function closeFirst(scope: Scope): Scope {
  const closers: (() => void | Promise<void>)[] = []
  scope.after(async () => {
    for (const close of closers.reverse()) await close()
  })
  return { after: close => void closers.push(close) }
}

/** Starts both; see `startScriptedUpstream` and `startProxy`. */
export async function startPair(
  scope: Scope,
  script: ScriptedUpstreamOptions | Script = {},
  options: Omit<ProxyOptions, 'servers'> = {},
): Promise<Pair> {
  const first = closeFirst(scope)
  const upstream = await startScriptedUpstream(scope, script)
  const proxy = await startProxy(first, { ...options, servers: upstream.url })
  return { upstream, proxy, url: proxy.endpoint() }
}
