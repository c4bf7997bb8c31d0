import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { small } from './payload.ts'
import { family, listening, type Running, start } from './process.ts'

const BENCH = join(import.meta.dirname, '..')
const ROOT = join(BENCH, '..')
const SERVER = join(BENCH, 'servers', 'stdio.ts')
const HTTP_SERVER = join(BENCH, 'servers', 'fast.ts')

/** A gateway, and a server behind it. */
export interface Gateway {
  readonly name: string
  readonly what: string
  readonly url: string
  readonly era: 'modern' | 'legacy'
  /** Whether every answer has the same bytes, whatever was asked. */
  readonly isFixed: boolean
  readonly running: Running
}

export type GatewayStarter = (dir: string, port: number) => Promise<Gateway>

/** Sluice in front of a server that speaks HTTP: what a call costs without a bridge. */
export async function sluiceHttp(dir: string, port: number, upstream: number): Promise<Gateway> {
  const server = { url: `http://127.0.0.1:${upstream}/mcp` }
  return sluice('http', 'Sluice, server over HTTP (modern)', 'modern', { dir, port, server })
}

export async function sluiceModern(dir: string, port: number): Promise<Gateway> {
  const server = { command: [process.execPath, SERVER], era: 'modern', replicas: 1 }
  return sluice('stdio-modern', 'Sluice, server over stdio, one process for all (modern)', 'modern', {
    dir,
    port,
    server,
  })
}

export async function sluiceLegacy(dir: string, port: number): Promise<Gateway> {
  const server = { command: [process.execPath, SERVER], era: 'legacy', replicas: 1 }
  return sluice('stdio-legacy', 'Sluice, server over stdio, a process a session (legacy)', 'legacy', {
    dir,
    port,
    server,
  })
}

export async function mcpProxy(_dir: string, port: number): Promise<Gateway> {
  const program = join(ROOT, 'node_modules', 'mcp-proxy', 'dist', 'bin', 'mcp-proxy.mjs')
  const options = ['--port', String(port), '--host', '127.0.0.1', '--server', 'stream', '--no-eventStore']
  const running = start(process.execPath, [program, ...options, '--', process.execPath, SERVER])
  await listening(running, port, 'mcp-proxy')
  return {
    name: 'mcp-proxy',
    what: `mcp-proxy ${versionOf('mcp-proxy')}, no event store`,
    url: urlOf(port),
    era: 'legacy',
    isFixed: false,
    running,
  }
}

export async function supergateway(_dir: string, port: number): Promise<Gateway> {
  const program = join(ROOT, 'node_modules', 'supergateway', 'dist', 'index.js')
  const options = ['--outputTransport', 'streamableHttp', '--stateful', '--logLevel', 'none', '--port', String(port)]
  const running = start(process.execPath, [program, '--stdio', `${process.execPath} ${SERVER}`, ...options])
  await listening(running, port, 'supergateway')
  const what = `supergateway ${versionOf('supergateway')}, stateful, no log`
  return { name: 'supergateway', what, url: urlOf(port), era: 'legacy', isFixed: false, running }
}

/** The gateway's own processes, and those of the servers it has started. */
export function processesOf(gateway: Gateway): { own: number[]; servers: number[] } {
  const own: number[] = []
  const servers: number[] = []
  for (const pid of family(gateway.running.pid)) (isServer(pid) ? servers : own).push(pid)
  return { own, servers }
}

/** A shell that starts a server is the gateway's. */
function isServer(pid: number): boolean {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0')
    return command[1] === SERVER
  } catch {
    return false
  }
}

/** Starts the HTTP server that Sluice is measured in front of. */
export async function httpServer(port: number): Promise<Running> {
  const running = start(process.execPath, [HTTP_SERVER, String(port)])
  await listening(running, port, 'the HTTP server')
  return running
}

interface Setting {
  readonly dir: string
  readonly port: number
  readonly server: object
}

async function sluice(
  name: string,
  what: string,
  era: Gateway['era'],
  { dir, port, server }: Setting,
): Promise<Gateway> {
  const home = join(dir, name)
  mkdirSync(home, { recursive: true })
  const file = join(home, 'sluice.yaml')
  // JSON is YAML.
  const config = {
    version: 1,
    access_log: 'off',
    admin: 'off',
    workers: 1,
    state_dir: home,
    servers: { bench: server },
  }
  writeFileSync(file, JSON.stringify(config))
  const args = ['run', '-c', file, '--listen', `127.0.0.1:${port}`, '--log-level', 'error']
  const running = start(process.execPath, [join(ROOT, 'proxy', 'cli', 'sluice.ts'), ...args])
  await listening(running, port, `sluice (${name})`)
  return { name, what, url: urlOf(port), era, isFixed: name === 'http', running }
}

function versionOf(name: string): string {
  const text = readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}/mcp`
}

/** Bytes of a call's text: as in the other benchmarks. */
export const CALL_BYTES = small.requestBody.length
