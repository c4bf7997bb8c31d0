import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Scenario } from '../../proxy/load/scenario.ts'
import { family, installed, listening, type Running, start } from '../lib/process.ts'
import { type PeerSpec, peerCommand, withoutServers } from './peers.ts'
import { haproxyConfig, nginxConfig } from './proxy-configs.ts'
import type { BuiltIn } from './scenario.ts'

export const BENCH = join(import.meta.dirname, '..')
export const STDIO_SERVER = join(BENCH, 'servers', 'stdio.ts')

/** Something that stands between the load and the upstream. */
export interface System {
  readonly name: string
  readonly what: string
  readonly url: string
  readonly load: Scenario
  /** `null` = the upstream itself. */
  readonly running: Running | null
  /** Whether the upstream answers behind it: not where it runs a server of its own. */
  readonly hasUpstream: boolean
  /** Whose CPU time and memory count, asked anew each time. */
  pids(): number[]
}

export interface Place {
  /** Whatever a system writes goes there. */
  readonly dir: string
  readonly port: number
  /** Empty when each system runs a child process of its own. */
  readonly upstreamPorts: readonly number[]
  readonly load: Scenario
  readonly buffering: boolean
}

/** Where nginx may be: `/usr/sbin` is not in the search path of most users. */
const NGINX_PLACES = ['nginx', '/usr/sbin/nginx', '/usr/local/sbin/nginx']

function findNginx(): string | null {
  return NGINX_PLACES.find(installed) ?? null
}

/** Why a system cannot be measured here; `''` = it can. */
export function missing(name: BuiltIn): string {
  if (name === 'nginx' && findNginx() === null) return 'nginx is not installed (Debian: apt-get install nginx-light)'
  if (name === 'haproxy' && !installed('haproxy')) return 'haproxy is not installed (Debian: apt-get install haproxy)'
  return ''
}

export async function startBuiltIn(name: BuiltIn, place: Place): Promise<System> {
  switch (name) {
    case 'direct':
      return direct(place)
    case 'bare':
      return bare(place)
    case 'nginx':
      return nginx(place)
    case 'haproxy':
      return haproxy(place)
    default:
      return peer(name, peerCommand(name), place)
  }
}

function direct({ upstreamPorts: [port = 0], load }: Place): System {
  return { name: 'direct', what: 'no proxy', url: urlOf(port), load, running: null, hasUpstream: false, pids: () => [] }
}

/** node:http + undici and nothing else: what no proxy on these two can go below. */
async function bare({ port, upstreamPorts, load }: Place): Promise<System> {
  const script = join(BENCH, 'servers', 'bare-proxy.ts')
  const running = start(process.execPath, [script, String(port), String(upstreamPorts[0])])
  await listening(running, port, 'the bare proxy')
  const what = 'node:http + undici dispatch, no checks: the floor of the stack'
  return { name: 'bare', what, url: urlOf(port), load, running, hasUpstream: true, pids: () => family(running.pid) }
}

async function nginx({ dir, port, upstreamPorts, load, buffering }: Place): Promise<System> {
  const home = join(dir, 'nginx')
  mkdirSync(home, { recursive: true })
  const file = join(home, 'nginx.conf')
  writeFileSync(file, nginxConfig({ home, port, upstreamPorts, buffering }))
  const running = start(findNginx() ?? 'nginx', ['-e', join(home, 'error.log'), '-p', home, '-c', file])
  await listening(running, port, 'nginx')
  const what = `proxy_pass, 1 worker, keep-alive to the upstream, access log off${buffering ? '' : ', proxy_buffering off'}`
  const workers = (): number[] => family(running.pid).filter(pid => pid !== running.pid)
  return { name: 'nginx', what, url: urlOf(port), load, running, hasUpstream: true, pids: workers }
}

async function haproxy({ dir, port, upstreamPorts, load }: Place): Promise<System> {
  const file = join(dir, 'haproxy.cfg')
  writeFileSync(file, haproxyConfig(port, upstreamPorts))
  const running = start('haproxy', ['-db', '-f', file])
  await listening(running, port, 'haproxy')
  const what = '1 thread, keep-alive to the upstream, no log'
  return { name: 'haproxy', what, url: urlOf(port), load, running, hasUpstream: true, pids: () => family(running.pid) }
}

/** Another gateway. Servers that it runs as its children do not count. */
export async function peer(name: string, spec: PeerSpec, place: Place): Promise<System> {
  const upstream = urlOf(place.upstreamPorts[0] ?? 0)
  const fill = (text: string): string =>
    text.replaceAll('{port}', String(place.port)).replaceAll('{upstream}', upstream)
  const [command = '', ...args] = spec.command.map(fill)
  const running = start(command, args)
  await listening(running, place.port, name)
  const own = (): number[] => withoutServers(family(running.pid))
  return { name, what: spec.what, url: fill(spec.url), load: place.load, running, hasUpstream: false, pids: own }
}

export function urlOf(port: number): string {
  return `http://127.0.0.1:${port}/mcp`
}
