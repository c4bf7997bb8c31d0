import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { RedisConfig } from '../../../proxy/config/store-config.ts'
import { send } from '../../helpers/http-client.ts'
import { modern, result } from '../../helpers/mcp-messages.ts'
import { startSluice } from '../../helpers/program.ts'
import { startProxy, type TestProxy } from '../../helpers/proxy.ts'
import { NEEDS_REDIS, type RedisServer, startRedis } from '../../helpers/redis.ts'
import { type Scope, until } from '../../helpers/scope.ts'
import { type ScriptedUpstream, startScriptedUpstream } from '../../helpers/scripted-upstream.ts'

const LIMIT = 200

function policy(down: string): string {
  const limits = `[{ limit: ${LIMIT}/hour, key: [server], name: all }]`
  return `interceptors: [{ use: rate-limit, options: { limits: ${limits}, store_down: ${down} } }]\n`
}

function upstream(scope: Scope): Promise<ScriptedUpstream> {
  return startScriptedUpstream(scope, (request, answer) =>
    answer.json(result(request.json().id, { resultType: 'complete', tools: [] })),
  )
}

/** Sends so many requests, and gives how often each status came. */
async function flood(scope: Scope, urls: readonly string[], times: number): Promise<Record<number, number>> {
  const seen: Record<number, number> = {}
  const one = async (i: number): Promise<void> => {
    const answer = await send(scope, urls[i % urls.length] as string, modern(i, 'tools/list'))
    await answer.text()
    seen[answer.status] = (seen[answer.status] ?? 0) + 1
  }
  for (let i = 0; i < times; i += 10) await Promise.all(Array.from({ length: 10 }, (_, k) => one(i + k)))
  return seen
}

async function three(scope: Scope, redis: RedisServer, down: string): Promise<TestProxy[]> {
  const { url } = await upstream(scope)
  const store: RedisConfig = { ...redis.place, timeoutMs: 300, prefix: `${down}:`, instances: 3 }
  const options = { servers: url, policy: policy(down), config: { store } }
  return [await startProxy(scope, options), await startProxy(scope, options), await startProxy(scope, options)]
}

describe('three proxies that share one Redis', NEEDS_REDIS, () => {
  it('keep one limit, each on its own while Redis is down, and together again after', async t => {
    const redis = await startRedis(t)
    const proxies = await three(t, redis, 'insurance')
    const urls = proxies.map(proxy => proxy.endpoint())
    const seen = await flood(t, urls, 300)
    const passed = seen[200] ?? 0
    assert.ok(passed <= LIMIT && passed >= LIMIT * 0.99, JSON.stringify(seen))
    assert.equal(passed + (seen[429] ?? 0), 300)

    await redis.kill()
    await until(() => proxies[0]?.notices.some(({ level }) => level === 'warn') === true, 'a notice')
    // What each has used itself still counts: about a third of the limit.
    const alone = (await flood(t, urls.slice(0, 1), LIMIT))[200] ?? 0
    assert.ok(alone > 0 && alone < LIMIT, `${alone}`)

    await redis.start()
    await until(() => proxies[0]?.notices.filter(({ level }) => level === 'info').length === 3, 'all to be back')
    const again = (await flood(t, urls, 300))[200] ?? 0
    assert.ok(again <= LIMIT && again >= LIMIT * 0.99, `${again}`)
  })

  it('refuse while Redis is down where the policy says so', async t => {
    const redis = await startRedis(t)
    const proxies = await three(t, redis, 'refuse')
    await redis.kill()
    await until(() => proxies[0]?.notices.some(({ level }) => level === 'warn') === true, 'a notice')
    const answer = await send(t, proxies[0]?.endpoint() as string, modern(1, 'tools/list'))
    const { error } = JSON.parse(await answer.text())
    assert.deepEqual([answer.status, error.data.code], [503, 'store_unreachable'])
    assert.equal(answer.headers['retry-after'], '1')
    await redis.start()
    await until(() => proxies[0]?.notices.filter(({ level }) => level === 'info').length === 3, 'all to be back')
    assert.deepEqual(await flood(t, [proxies[0]?.endpoint() as string], 10), { 200: 10 })
  })
})

describe('several workers without Redis', () => {
  it('keep one limit', async t => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-workers-'))
    t.after(() => rmSync(dir, { recursive: true, force: true }))
    const { url } = await upstream(t)
    writeFileSync(join(dir, 'policy.yaml'), policy('refuse'))
    const args = [url, '--workers', '2', '--policy', 'policy.yaml', '--admin', '127.0.0.1:0']
    const program = await startSluice(t, args, { env: { SLUICE_STATE_DIR: dir, LOG_LEVEL: '' }, cwd: dir })
    const seen = await flood(t, [program.url], 300)
    const passed = seen[200] ?? 0
    assert.ok(passed <= LIMIT && passed >= LIMIT * 0.99, JSON.stringify(seen))
  })
})
