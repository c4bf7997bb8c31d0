import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { DnsReplicaSource, nameResolver } from '../../../proxy/fleet/discover/dns.ts'
import type { DnsSource } from '../../../proxy/fleet/spec.ts'
import { type DnsServer, startDns } from '../../helpers/dns-server.ts'
import { Places } from '../../helpers/places.ts'
import { until } from '../../helpers/scope.ts'

const NAME = 'kb.sluice.test'

describe('replicas behind a name', () => {
  it('are its addresses', async t => {
    const server = await startDns(t)
    server.names.set(NAME, { A: ['10.0.0.2', '10.0.0.1'], AAAA: ['fd00::7'] })
    const four = follow(t, server, {})
    await four.until(2)
    assert.deepEqual(four.last[0], {
      id: 'http://10.0.0.1:8000/mcp',
      url: 'http://10.0.0.1:8000/mcp',
      socketPath: '',
      state: 'ready',
    })
    const six = follow(t, server, { type: 'AAAA', tls: true, port: 443, path: '/x?y=1' })
    await six.until(1)
    assert.equal(six.last[0]?.url, 'https://[fd00::7]/x?y=1')
  })

  it('are those services that come first, each at its port', async t => {
    const server = await startDns(t)
    const SRV = [
      { name: 'a.sluice.test', port: 8001, priority: 1 },
      { name: 'b.sluice.test', port: 8002, priority: 1 },
      { name: 'spare.sluice.test', port: 8003, priority: 2 },
    ]
    server.names.set(NAME, { SRV })
    const places = follow(t, server, { type: 'SRV', port: 0 })
    await places.until(2)
    const urls = places.last.map(place => place.url)
    assert.deepEqual(urls, ['http://a.sluice.test:8001/mcp', 'http://b.sluice.test:8002/mcp'])
  })

  it('come and go', async t => {
    const server = await startDns(t)
    server.names.set(NAME, { A: ['10.0.0.1'] })
    const places = follow(t, server, {})
    await places.until(1)
    server.names.set(NAME, { A: ['10.0.0.1', '10.0.0.2', '10.0.0.3'] })
    await places.until(3)
    const told = places.told
    const asked = server.questions
    await until(() => server.questions > asked + 2, 'more questions')
    assert.equal(places.told, told, 'what did not change is not told')
    server.names.set(NAME, { A: ['10.0.0.3'] })
    await places.until(1)
    assert.equal(places.last[0]?.id, 'http://10.0.0.3:8000/mcp')
  })

  it('stay while the server is in trouble', async t => {
    const server = await startDns(t)
    server.names.set(NAME, { A: ['10.0.0.1', '10.0.0.2'] })
    const places = follow(t, server, {})
    await places.until(2)
    server.isBroken = true
    await places.untilTrouble(/^the name kb\.sluice\.test \(A\) cannot be resolved: ESERVFAIL$/)
    const asked = server.questions
    await until(() => server.questions > asked + 6, 'more questions')
    assert.equal(places.last.length, 2)
    server.isBroken = false
    await places.untilTrouble(/^$/)
    assert.equal(places.last.length, 2)
  })

  it('are gone when it was said three times that there is no such name', async t => {
    const server = await startDns(t)
    server.names.set(NAME, { A: ['10.0.0.1'] })
    const places = follow(t, server, {})
    await places.until(1)
    server.names.delete(NAME)
    const asked = server.questions
    await places.untilTrouble(/ENOTFOUND$/)
    assert.equal(places.last.length, 1, 'one answer is not believed')
    await places.until(0)
    assert.ok(server.questions >= asked + 3)
    assert.match(places.trouble, /ENOTFOUND$/)
  })

  it('are looked for again when one cannot be reached', async t => {
    const server = await startDns(t)
    server.names.set(NAME, { A: ['10.0.0.1'] })
    const source = new DnsReplicaSource(wanted({ intervalMs: 3_600_000 }), nameResolver([server.address]))
    const places = new Places(source, t)
    await places.until(1)
    server.names.set(NAME, { A: ['10.0.0.2'] })
    for (let i = 0; i < 100; i++) source.refresh()
    await until(() => places.last[0]?.id === 'http://10.0.0.2:8000/mcp', 'the new address')
    assert.ok(server.questions <= 3, `${server.questions} questions: not each time`)
  })

  it('are known without DNS where the system knows them', async t => {
    const server = await startDns(t)
    const places = follow(t, server, { name: 'localhost' })
    await places.until(1)
    assert.equal(places.last[0]?.url, 'http://127.0.0.1:8000/mcp')
  })

  it('are told no more after the end', async t => {
    const server = await startDns(t)
    server.names.set(NAME, { A: ['10.0.0.1'] })
    const source = new DnsReplicaSource(wanted({}), nameResolver([server.address]))
    let told = 0
    source.start(
      () => told++,
      () => told++,
    )
    await source.close()
    await until(() => server.questions > 0, 'the first question')
    const other = follow(t, server, {})
    await other.until(1)
    assert.equal(told, 0)
  })
})

function follow(t: TestContext, server: DnsServer, rest: Partial<DnsSource>): Places {
  return new Places(new DnsReplicaSource(wanted(rest), nameResolver([server.address])), t)
}

function wanted(rest: Partial<DnsSource>): DnsSource {
  return { kind: 'dns', name: NAME, port: 8000, path: '/mcp', type: 'A', intervalMs: 10, tls: false, ...rest }
}
