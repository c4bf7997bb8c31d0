/**
 * What a limit costs, in nanoseconds of this process's CPU (Redis has its own): the store's quotas, in memory and over a Redis on loopback, and
 * rate-limiter-flexible beside them. Run: `node bench/micro/rate-limit.ts`. Without redis-server, only memory.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis } from 'rate-limiter-flexible'
import type { Quota, Store } from '#api'
import { systemClock } from '../../proxy/base/clock.ts'
import { MemoryStore } from '../../proxy/store/memory.ts'
import { RedisStore } from '../../proxy/store/redis.ts'
import { allocatedByAsync } from '../lib/micro.ts'

const ROUNDS = 7
const IN_FLIGHT = 64
const LARGE = 1_000_000_000

const quota: Quota = { limit: LARGE, windowMs: 60_000, window: 'sliding', burst: LARGE, whenDown: 'refuse' }
const keys = Array.from({ length: 10_000 }, (_unused, i) => `client-${i}`)

/** Median over the rounds. */
async function measure(label: string, times: number, run: (times: number) => void | Promise<void>): Promise<void> {
  const micros: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const began = process.cpuUsage()
    await run(times)
    const { user, system } = process.cpuUsage(began)
    micros.push((user + system) / times)
  }
  const median = micros.toSorted((a, b) => a - b)[ROUNDS >> 1] ?? Number.NaN
  console.log(`${label.padEnd(58)} ${(median * 1000).toFixed(0).padStart(7)} ns/op${await allocated(run)} B/op`)
}

async function allocated(run: (times: number) => void | Promise<void>): Promise<string> {
  const times = 512
  const bytes = await allocatedByAsync(async () => run(times), 1)
  return (bytes / times).toFixed(0).padStart(8)
}

/** As many at once as under load. */
function inFlight(one: (i: number) => unknown): (times: number) => Promise<void> {
  return async times => {
    let next = 0
    const lane = async (): Promise<void> => {
      while (next < times) await one(next++)
    }
    await Promise.all(Array.from({ length: IN_FLIGHT }, lane))
  }
}

/** Waits only where there is something to wait for, as a hook does. */
function hot(store: Store, rule: Quota, key = 'hot'): (times: number) => Promise<void> {
  return async times => {
    for (let i = 0; i < times; i++) {
      const grant = store.take(key, 1, rule)
      if (grant instanceof Promise) await grant
    }
  }
}

async function memory(): Promise<void> {
  const store = new MemoryStore({ clock: systemClock })
  for (const window of ['sliding', 'fixed', 'smooth'] as const) {
    await measure(`memory, ${window}, one key`, 500_000, hot(store, { ...quota, window }, window))
  }
  await measure('memory, sliding, 10,000 keys', 500_000, async times => {
    for (let i = 0; i < times; i++) store.take(keys[i % keys.length] as string, 1, quota)
  })
  await measure('memory, sliding, refused', 500_000, hot(store, { ...quota, limit: 1 }, 'refused'))
  const other = new RateLimiterMemory({ points: LARGE, duration: 60 })
  await measure('rate-limiter-flexible, memory, one key', 200_000, async times => {
    for (let i = 0; i < times; i++) await other.consume('hot')
  })
  const refused = new RateLimiterMemory({ points: 1, duration: 60 })
  await measure('rate-limiter-flexible, memory, refused', 200_000, async times => {
    for (let i = 0; i < times; i++) await refused.consume('refused').catch(() => {})
  })
}

async function redis(port: number): Promise<void> {
  const place = {
    mode: 'standalone',
    nodes: [{ host: '127.0.0.1', port }],
    masterName: '',
    sentinelUsername: '',
    sentinelPassword: '',
    username: '',
    password: '',
    db: 0,
    tls: null,
    timeoutMs: 5000,
    connectTimeoutMs: 2000,
  } as const
  const store = new RedisStore({ place, prefix: 'bench:', processes: 3, clock: systemClock })
  await store.open()
  await measure('Redis, a key in demand (taken ahead)', 200_000, hot(store, quota))
  const small = { ...quota, limit: 200, windowMs: 1000 }
  await measure(
    'Redis, nothing ahead, 10,000 keys, 64 in flight',
    30_000,
    inFlight(i => store.take(keys[i % keys.length] as string, 1, small)),
  )
  await measure('Redis, refused', 200_000, hot(store, { ...quota, limit: 1 }, 'refused'))
  await store.close()

  const client = new Redis({ port, enableAutoPipelining: true })
  const other = new RateLimiterRedis({ storeClient: client, points: LARGE, duration: 60 })
  await measure(
    'rate-limiter-flexible, Redis, 10,000 keys, 64 in flight',
    30_000,
    inFlight(i => other.consume(keys[i % keys.length] as string)),
  )
  await client.quit()
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function startRedis(): Promise<{ child: ChildProcess; port: number }> {
  const port = await freePort()
  const args = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no']
  const child = spawn('redis-server', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  for await (const text of child.stdout ?? []) if (String(text).includes('Ready to accept')) break
  return { child, port }
}

await memory()
if (spawnSync('redis-server', ['--version']).status === 0) {
  const { child, port } = await startRedis()
  try {
    await redis(port)
  } finally {
    child.kill('SIGKILL')
  }
} else {
  console.log('redis-server is not installed: nothing measured over Redis')
}
