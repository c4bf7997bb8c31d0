import type { Json } from '../api/index.ts'
import { suggestion } from '../base/suggest.ts'
import type { Config } from '../config/config.ts'
import type { LoggedLine } from '../fleet/output-log.ts'
import type { ServerStatus } from '../fleet/status.ts'
import { ControlError, type ControlRequest, type ControlRoute } from '../observe/control-routes.ts'
import { followOutput } from './follow-output.ts'
import { inspectServer } from './inspect-server.ts'
import { type PoolReports, type ServerView, viewOf } from './server-report.ts'

/** What the routes need of the fleet. */
export interface ServersControl {
  list(): ServerStatus[]
  status(name: string): ServerStatus | null
  restart(name: string): boolean
  stop(name: string): boolean
  start(name: string): boolean
  logs(name: string): LoggedLine[] | null
  /** Asks replicas now what they use. */
  measure(): Promise<void>
}

export interface ServerRoutesOptions {
  readonly fleet: ServersControl
  /** What the pools of every worker say now. */
  pools(): Promise<readonly PoolReports[]>
  /** The configuration in use. */
  config(): Config
}

const ACTIONS = ['restart', 'stop', 'start'] as const
type Action = (typeof ACTIONS)[number]

/** Most lines that `logs` begins with. */
const MAX_LINES = 10_000
const DEFAULT_LINES = 100

const WHO_RUNS_IT: Readonly<Record<string, string>> = {
  static: 'others run its replicas at the addresses in the configuration',
  dns: 'others run its replicas, which are found by DNS',
  docker: 'others run its replicas, which are found on the Docker engine',
}

/** `sluice server`: what there is to see and to do about servers, where the fleet is. */
export function serverRoutes(options: ServerRoutesOptions): ControlRoute[] {
  const desk = new Desk(options)
  return [
    { method: 'GET', path: '/servers', handler: () => desk.list() },
    { method: 'GET', path: '/servers/:name', handler: request => desk.show(nameOf(request)) },
    { method: 'GET', path: '/servers/:name/inspect', handler: request => desk.inspect(nameOf(request)) },
    { method: 'GET', path: '/servers/:name/logs', handler: request => desk.logs(nameOf(request), request) },
    ...ACTIONS.map((action): ControlRoute => {
      return { method: 'POST', path: `/servers/:name/${action}`, handler: request => desk.act(nameOf(request), action) }
    }),
  ]
}

class Desk {
  readonly #options: ServerRoutesOptions

  constructor(options: ServerRoutesOptions) {
    this.#options = options
  }

  async list(): Promise<Json> {
    const { fleet, pools } = this.#options
    const [reports] = await Promise.all([pools(), fleet.measure()])
    const now = Date.now()
    return json({ servers: fleet.list().map(status => viewOf(status, reports, now)) })
  }

  async show(name: string): Promise<Json> {
    return json(await this.#view(name))
  }

  async inspect(name: string): Promise<Json> {
    const view = await this.#view(name)
    const config = this.#options.config()
    const server = config.servers.find(one => one.name === name)
    return json({ ...view, configuration: server === undefined ? null : inspectServer(server, config) })
  }

  /** Lines of JSON, those that are kept first; with `follow=1` those that come, until the asker leaves. */
  logs(name: string, { query, signal }: ControlRequest): AsyncIterable<string> {
    const status = this.#status(name)
    if (!isOurs(status)) throw cannot(status, 'show the logs of')
    const wanted = query['lines'] ?? String(DEFAULT_LINES)
    if (!/^\d{1,6}$/.test(wanted)) throw new ControlError(400, `lines=${wanted}: expected a whole number`)
    const count = Math.min(MAX_LINES, Number(wanted))
    // Heard before what is kept is read, so that none is lost in between.
    const follower = query['follow'] === '1' ? followOutput(name, signal) : null
    const kept = count === 0 ? [] : (this.#options.fleet.logs(name) ?? []).slice(-count)
    return lines(kept, follower)
  }

  async act(name: string, action: Action): Promise<Json> {
    const { fleet } = this.#options
    const before = this.#status(name)
    if (!isOurs(before) || !fleet[action](name)) throw cannot(before, action)
    return json({ done: action, before: before.state, server: await this.#view(name) })
  }

  async #view(name: string): Promise<ServerView> {
    this.#status(name)
    const { fleet, pools } = this.#options
    const [reports] = await Promise.all([pools(), fleet.measure()])
    return viewOf(this.#status(name), reports, Date.now())
  }

  #status(name: string): ServerStatus {
    const { fleet } = this.#options
    const status = fleet.status(name)
    if (status !== null) return status
    const names = fleet.list().map(one => one.name)
    throw new ControlError(404, `there is no server "${name}"${suggestion(name, names, 'there are')}`)
  }
}

async function* lines(
  kept: readonly LoggedLine[],
  follower: AsyncIterable<LoggedLine[]> | null,
): AsyncGenerator<string> {
  if (kept.length > 0) yield texts(kept)
  if (follower !== null) for await (const some of follower) yield texts(some)
}

function texts(some: readonly LoggedLine[]): string {
  return some
    .map(({ replica, at, line }) => `${JSON.stringify({ timestamp: new Date(at).toISOString(), replica, line })}\n`)
    .join('')
}

function isOurs({ source }: ServerStatus): boolean {
  return WHO_RUNS_IT[source] === undefined
}

function cannot({ name, source }: ServerStatus, what: string): ControlError {
  const why = WHO_RUNS_IT[source] ?? 'it is about to go'
  return new ControlError(409, `cannot ${what} "${name}": ${why}`)
}

function nameOf({ params }: ControlRequest): string {
  return params['name'] ?? ''
}

function json(value: object): Json {
  return value as unknown as Json
}
