import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { RedisPlace } from '../../proxy/store/redis-client.ts'
import { type Scope, until } from './scope.ts'

const isThere = spawnSync('redis-server', ['--version']).status === 0

/** For `describe` and `it`: a machine without Redis leaves these tests out; CI must not. */
export const NEEDS_REDIS = {
  skip: isThere || process.env.CI !== undefined ? false : 'redis-server is not installed',
}

/** A Redis server of a test. */
export interface RedisServer {
  readonly port: number
  readonly place: RedisPlace
  /** Kills it, as a crash would. */
  kill(): Promise<void>
  /** Starts it again at the same place, empty. */
  start(): Promise<void>
  /** A plain connection of the test's own. */
  connect(): Redis
}

/** Where a store finds it. */
export function placeOf(ports: readonly number[], rest: Partial<RedisPlace> = {}): RedisPlace {
  return {
    mode: 'standalone',
    nodes: ports.map(port => ({ host: '127.0.0.1', port })),
    masterName: '',
    sentinelUsername: '',
    sentinelPassword: '',
    username: '',
    password: '',
    db: 0,
    tls: null,
    timeoutMs: 5000,
    connectTimeoutMs: 2000,
    ...rest,
  }
}

type Arguments = readonly string[]

/**
 * Starts a Redis server on a free port of 127.0.0.1 that keeps nothing on disk; it is killed with `scope`.
 * @param given more arguments, or what makes them for its port; the last of a name counts
 */
export async function startRedis(
  scope: Scope,
  given: Arguments | ((port: number) => Arguments) = [],
): Promise<RedisServer> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-redis-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  const port = await freePort()
  const args = typeof given === 'function' ? given(port) : given
  let child: ChildProcess | null = null
  const start = async (): Promise<void> => {
    const where = ['--port', String(port), '--bind', '127.0.0.1', '--dir', dir, '--save', '', '--appendonly', 'no']
    child = spawn('redis-server', [...where, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
    await ready(child)
  }
  const kill = async (): Promise<void> => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
  }
  scope.after(kill)
  await start()
  const connect = (): Redis => {
    const redis = new Redis({ host: '127.0.0.1', port, maxRetriesPerRequest: 1 })
    redis.on('error', () => {})
    scope.after(() => redis.disconnect())
    return redis
  }
  return { port, place: placeOf([port]), kill, start, connect }
}

const SLOTS = 16_384

/** Starts a Cluster of three masters. */
export async function startRedisCluster(scope: Scope): Promise<RedisPlace> {
  const args = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '5000', '--cluster-port', '0']
  const servers: RedisServer[] = []
  for (let i = 0; i < 3; i++) {
    const bus = await freePort()
    servers.push(await startRedis(scope, [...args.slice(0, -1), String(bus)]))
  }
  const nodes = servers.map(server => server.connect())
  for (const [i, node] of nodes.entries()) {
    const from = Math.floor((SLOTS * i) / nodes.length)
    await node.call('CLUSTER', 'ADDSLOTSRANGE', from, Math.floor((SLOTS * (i + 1)) / nodes.length) - 1)
    await node.call('CLUSTER', 'SET-CONFIG-EPOCH', i + 1)
  }
  for (const server of servers.slice(1)) {
    const bus = String(await server.connect().config('GET', 'cluster-port')).split(',')[1] ?? ''
    await nodes[0]?.call('CLUSTER', 'MEET', '127.0.0.1', server.port, bus)
  }
  for (const node of nodes) await untilWhole(node)
  return placeOf(
    servers.map(server => server.port),
    { mode: 'cluster' },
  )
}

/**
 * Starts a Sentinel that watches the server at this port as `main`, and takes it for dead after two seconds: with less than twice
 * the time between its questions (1 s) it takes servers for dead that are not.
 */
export async function startSentinel(scope: Scope, masterPort: number): Promise<RedisPlace> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-sentinel-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  const port = await freePort()
  const file = join(dir, 'sentinel.conf')
  const watch = `monitor main 127.0.0.1 ${masterPort} 1\nsentinel down-after-milliseconds main 2000\nsentinel failover-timeout main 5000`
  writeFileSync(file, `port ${port}\nbind 127.0.0.1\ndir ${dir}\nsentinel ${watch}\n`)
  const child = spawn('redis-server', [file, '--sentinel'], { stdio: ['ignore', 'pipe', 'inherit'] })
  scope.after(() => void child.kill('SIGKILL'))
  await ready(child, '+monitor master main')
  return placeOf([port], { mode: 'sentinel', masterName: 'main' })
}

async function untilWhole(node: Redis): Promise<void> {
  let state = ''
  const look = (): void => void node.call('CLUSTER', 'INFO').then(info => void (state = String(info)))
  await until(() => {
    look()
    return state.includes('cluster_state:ok') && state.includes('cluster_known_nodes:3')
  }, 'the nodes of a Redis Cluster to find each other')
}

async function ready(child: ChildProcess, text = 'Ready to accept connections'): Promise<void> {
  let output = ''
  child.stdout?.setEncoding('utf8')
  child.stdout?.on('data', (text: string) => {
    output += text
  })
  await until(() => output.includes(text) || child.exitCode !== null, 'redis-server to start')
  if (child.exitCode !== null) throw new Error(`redis-server ended:\n${output}`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}
