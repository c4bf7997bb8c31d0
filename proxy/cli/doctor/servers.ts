import { connect } from 'node:net'
import type { ServerConfig } from '../../config/config.ts'
import type { StaticPlace } from '../../fleet/spec.ts'
import { type Finding, ok, problem, reasonOf, warning } from './finding.ts'
import { checkProgram } from './programs.ts'

const LIMIT_MS = 2000

/** Whether a server's replicas are containers. */
export function needsEngine({ source }: ServerConfig): boolean {
  return source.kind === 'image' || source.kind === 'docker'
}

/** Whether static replicas take connections, and the programs of the others are there. */
export async function checkServers(servers: readonly ServerConfig[], env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const found = await Promise.all(servers.map(server => checkServer(server, env)))
  return found.flat()
}

async function checkServer(server: ServerConfig, env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const { source, name, container } = server
  const what = `server ${name}`
  if (source.kind === 'static') return [await checkPlaces(what, source.places)]
  if (source.kind === 'process') return [checkProgram(what, source.command[0] ?? '', env)]
  if (container !== null && container.verify !== null) return [checkProgram(`${what}: cosign`, 'cosign', env)]
  return []
}

async function checkPlaces(what: string, places: readonly StaticPlace[]): Promise<Finding> {
  const errors = await Promise.all(places.map(knock))
  const lost = errors.filter(error => error !== '')
  const count = places.length
  if (lost.length === 0) return ok(what, count === 1 ? 'takes connections' : `all ${count} replicas take connections`)
  const reasons = [...new Set(lost)].join(', ')
  const text = `${lost.length} of ${count} replicas cannot be reached (${reasons})`
  const advice = 'start it, or correct its URL'
  return lost.length < count ? warning(what, text, advice) : problem(what, text, advice)
}

/** Opens a connection and closes it. Resolves to an error code, `''` = it was taken. */
function knock({ url, socketPath }: StaticPlace): Promise<string> {
  const { hostname, port, protocol } = new URL(url)
  const tcp = { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port) || (protocol === 'https:' ? 443 : 80) }
  return new Promise(resolve => {
    const socket = connect(socketPath === '' ? tcp : { path: socketPath })
    const over = (text: string): void => {
      resolve(text)
      socket.destroy()
    }
    socket.setTimeout(LIMIT_MS, () => over('no answer'))
    socket.once('error', error => over(reasonOf(error)))
    socket.once('connect', () => over(''))
  })
}
