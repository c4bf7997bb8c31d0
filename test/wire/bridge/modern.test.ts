import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startBridge } from '../../helpers/bridge.ts'
import { DEADLINE_MS, suiteScope, until, within } from '../../helpers/scope.ts'
import { connectSdk, ELICITED } from '../../helpers/sdk-clients.ts'

const SERVER = fileURLToPath(new URL('../fixtures/modern-stdio.ts', import.meta.url))

describe('a server of the official SDK v2 over stdio behind the bridge', () => {
  const scope = suiteScope()
  let bridge: Awaited<ReturnType<typeof startBridge>>

  before(async () => {
    bridge = await startBridge(scope, [process.execPath, SERVER])
  })

  test('serves all modern clients from one process', async t => {
    const clients = await Promise.all(Array.from({ length: 5 }, () => connectSdk(t, 'v2 auto', bridge.url)))
    assert.ok(clients.every(client => client.isModern && client.sessionId === undefined))
    const pids = await Promise.all(clients.map(client => client.callText('pid')))
    assert.equal(new Set(pids).size, 1)
    const calls = clients.flatMap((client, c) =>
      Array.from({ length: 40 }, async (_, n) => {
        const text = `client ${c}, call ${n} \u2028 ä`
        assert.equal(await client.callText('echo', { text }), text)
      }),
    )
    await Promise.all(calls)
    assert.deepEqual(
      clients.flatMap(client => client.errors),
      [],
    )
  })

  test('relays every progress notification, in order, before the answer', async t => {
    const clients = await Promise.all([1, 2, 3].map(() => connectSdk(t, 'v2 modern', bridge.url)))
    const runs = clients.map(async client => {
      const ticks: number[] = []
      const onprogress = ({ progress }: { progress: number }) => void ticks.push(progress)
      assert.equal(await client.callText('tick', { times: 10 }, { onprogress }), '10 ticks')
      assert.deepEqual(ticks, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
    })
    await Promise.all(runs)
  })

  test('turns a client that goes into a cancelled request', async t => {
    const client = await connectSdk(t, 'v2 modern', bridge.url)
    const names = ['one', 'two'].map(name => `${name} of ${process.pid}`)
    const aborts = names.map(() => new AbortController())
    const calls = names.map((name, i) =>
      client.call('wait', { name }, { signal: (aborts[i] as AbortController).signal }),
    )
    for (const call of calls) call.catch(() => {})
    const look = async (expected: readonly (string | undefined)[]): Promise<void> => {
      const deadline = performance.now() + DEADLINE_MS
      while ((await client.callText('running')) !== expected.join(' ')) {
        assert.ok(performance.now() < deadline, `waited for "${expected.join(' ')}" to run`)
      }
    }
    await look(names)
    aborts[0]?.abort()
    await look([names[1]])
    aborts[1]?.abort()
    await look([])
  })

  test('asks by rounds', async t => {
    const client = await connectSdk(t, 'v2 modern', bridge.url)
    assert.equal(await client.callText('ask'), `hello ${ELICITED.name}`)
  })

  test('tells each subscriber of its changes, and no one twice', async t => {
    const clients = await Promise.all([1, 2].map(() => connectSdk(t, 'v2 modern', bridge.url)))
    for (const client of clients) await client.subscribe('test://a')
    const bystander = await connectSdk(t, 'v2 modern', bridge.url)
    await bystander.call('change')
    await bystander.call('change')
    for (const client of clients) {
      await until(() => client.updates.length === 2, 'two updates')
      assert.deepEqual(client.updates, ['test://a', 'test://a'])
    }
    assert.deepEqual(bystander.updates, [])
  })

  test('gives a legacy client a process of its own', async t => {
    const modern = await connectSdk(t, 'v2 modern', bridge.url)
    const legacy = await connectSdk(t, 'v1', bridge.url)
    assert.notEqual(await legacy.callText('pid'), await modern.callText('pid'))
    assert.equal(await legacy.callText('ask'), `hello ${ELICITED.name}`)
    await legacy.transport.terminateSession()
  })

  test('fails the calls of a process that is killed, keeps subscriptions, and starts another', async t => {
    const client = await connectSdk(t, 'v2 modern', bridge.url)
    const watching = await connectSdk(t, 'v2 modern', bridge.url)
    await watching.subscribe('test://a')
    const before = await client.callText('pid')
    const waiting = client.call('wait', { name: 'killed' })
    waiting.catch(() => {})
    const killed = client.call('die')
    for (const call of [waiting, killed]) {
      await assert.rejects(within(call, 'the failure'), /kb: its process killed by SIGKILL|kb: its process .*SIGKILL/)
    }
    assert.notEqual(await client.callText('pid'), before)
    // What may have changed while there was no process is told as changed.
    await until(() => watching.updates.length >= 1, 'an update')
    const updates = watching.updates.length
    await client.call('change')
    await until(() => watching.updates.length > updates, 'a further update')
    assert.equal(await bridge.instance.selfCheck(), true)
  })
})
