import { randomUUID } from 'node:crypto'
import { formatHostPort } from '../../base/host-port.ts'
import type { StoreConfig } from '../../config/store-config.ts'
import { createRedisClient, type RedisClient } from '../../store/redis-client.ts'
import { type Finding, ok, problem, warning } from './finding.ts'

const OLDEST = 6
const KEEP_S = 10

/** Whether Redis is there, lets us in, and lets us write under the prefix. */
export async function checkRedis(store: StoreConfig): Promise<Finding[]> {
  if (store === 'memory') return []
  const places = store.nodes.map(formatHostPort).join(', ')
  const client = createRedisClient(store)
  try {
    await within(connected(client), store.connectTimeoutMs)
    const key = `${store.prefix}doctor:${randomUUID()}`
    await within(client.set(key, '1', 'EX', KEEP_S), store.timeoutMs)
    await within(client.del(key), store.timeoutMs)
    const version = /redis_version:(\S+)/.exec(String(await within(client.info('server'), store.timeoutMs)))?.[1] ?? ''
    const text = `${store.mode} at ${places}${version === '' ? '' : `, version ${version}`}`
    if (version !== '' && Number.parseInt(version, 10) < OLDEST)
      return [warning('redis', text, 'use version 6 or newer')]
    return [ok('redis', text)]
  } catch (error) {
    const text = `${store.mode} at ${places}: ${(error as Error).message.split('\n')[0]}`
    return [problem('redis', text, 'see docs/redis.md: address, user, password, TLS, rights on the keys of the prefix')]
  } finally {
    client.disconnect()
  }
}

/** The first error is the answer: a doctor does not wait for better times. */
function connected(client: RedisClient): Promise<void> {
  return new Promise((resolve, reject) => {
    client.once('ready', resolve)
    client.on('error', reject)
    client.connect().catch(reject)
  })
}

async function within<T>(promise: Promise<T>, limitMs: number): Promise<T> {
  const limit = Promise.withResolvers<never>()
  const timer = setTimeout(() => limit.reject(new Error(`no answer within ${limitMs} ms`)), limitMs)
  try {
    return await Promise.race([promise, limit.promise])
  } finally {
    clearTimeout(timer)
  }
}
