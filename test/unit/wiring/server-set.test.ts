import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { type Config, defaultConfig, type ServerConfig } from '../../../proxy/config/config.ts'
import { serversGiven } from '../../../proxy/config/resolve-servers.ts'
import { CredentialTable } from '../../../proxy/credentials/shown.ts'
import { ServerSet } from '../../../proxy/wiring/server-set.ts'

function configOf(servers: Record<string, object>): Config {
  return { ...defaultConfig({}), servers: serversGiven(servers) as ServerConfig[] }
}

function setOf(t: TestContext, servers: Record<string, object>) {
  const drained: string[] = []
  const link = {
    wanted() {},
    load() {},
    suspect() {},
    drained: (server: string, replica: string) => void drained.push(`${server} ${replica}`),
  }
  const set = new ServerSet({ config: configOf(servers), link, credentials: new CredentialTable(() => false) })
  t.after(() => set.destroy())
  return { set, drained, apply: (next: Record<string, object>) => set.apply(configOf(next)) }
}

const KB = { command: ['node', 'server.js'] }
const place = (id: string, state: 'ready' | 'draining' = 'ready') => ({
  id,
  url: 'http://127.0.0.1:1/mcp',
  socketPath: '',
  state,
})

describe('the set of servers', () => {
  it('has static replicas at once, others when the fleet tells them', t => {
    const { set } = setOf(t, { far: { url: 'http://far/mcp' }, kb: KB })
    const shown = (): string[] => set.pools.map(pool => `${pool.name}: ${pool.list().map(({ id }) => id)}`)
    assert.deepEqual(shown(), ['far: http://far/mcp', 'kb: '])
    set.take({ server: 'kb', places: [place('kb-1')], coming: true, reason: '' })
    assert.deepEqual(shown(), ['far: http://far/mcp', 'kb: kb-1'])
    // Nobody but the configuration says where static ones are.
    set.take({ server: 'far', places: [], coming: false, reason: '' })
    assert.deepEqual(shown(), ['far: http://far/mcp', 'kb: kb-1'])
  })

  it('says what can be reached: who will be started, too', t => {
    const { set } = setOf(t, { kb: KB })
    assert.deepEqual(set.targets, [{ name: 'kb', urls: [], coming: true }])
    set.take({ server: 'kb', places: [], coming: false, reason: 'it failed' })
    assert.deepEqual(set.targets, [{ name: 'kb', urls: [], coming: false }])
  })

  it('keeps the pool of a server that stays, and makes another one where it has to', t => {
    const { set, apply } = setOf(t, { a: { url: 'http://a/mcp' }, kb: KB })
    set.take({ server: 'kb', places: [place('kb-1')], coming: true, reason: '' })
    const [a, kb] = set.pools
    apply({
      a: { urls: ['http://a/mcp', 'http://b/mcp'] },
      kb: { ...KB, env: { X: '1' } },
      new: { url: 'http://new/mcp' },
    })
    assert.deepEqual(
      set.routes.map(({ name }) => name),
      ['a', 'kb', 'new'],
    )
    assert.equal(set.pools[0], a)
    assert.equal(set.pools[1], kb)
    assert.equal(a?.list().length, 2)
    apply({ kb: { ...KB, max_in_flight: 3 } })
    assert.equal(set.pools.length, 1)
    assert.notEqual(set.pools[0], kb)
    assert.deepEqual(
      set.pools[0]?.list().map(({ id }) => id),
      ['kb-1'],
      'the new one knows the table',
    )
  })

  it('tells the fleet at once that nothing runs on the replicas of a server it does not know', t => {
    const { set, drained } = setOf(t, { kb: KB })
    set.take({ server: 'gone', places: [place('gone-1', 'draining'), place('gone-2')], coming: false, reason: '' })
    set.take({ server: 'kb', places: [place('kb-1', 'draining')], coming: true, reason: '' })
    assert.deepEqual(drained, ['gone gone-1', 'kb kb-1'])
  })
})
