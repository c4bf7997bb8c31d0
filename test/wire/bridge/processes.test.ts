import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startBridge } from '../../helpers/bridge.ts'
import { begin, send } from '../../helpers/http-client.ts'
import { initialize, legacy, rpc } from '../../helpers/mcp-messages.ts'
import { type Scope, until, within } from '../../helpers/scope.ts'
import { connectSdk } from '../../helpers/sdk-clients.ts'

const ODD = fileURLToPath(new URL('../fixtures/odd-stdio.mjs', import.meta.url))
const odd = (...mood: string[]) => [process.execPath, ODD, ...mood]
const MIB = 1024 * 1024

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** What a call failed with. */
async function failure(call: Promise<unknown>): Promise<{ code: number; message: string }> {
  return within(call, 'a failure').then(
    () => assert.fail('the call succeeded'),
    error => error,
  )
}

describe('processes behind the bridge', () => {
  test('200 clients at once share few processes, each session its own', async t => {
    const { url, instance } = await startBridge(t, odd(), {
      maxProcesses: 6,
      maxWaiting: 200,
      acquireTimeoutMs: 60_000,
    })
    let most = 0
    const watch = setInterval(() => {
      most = Math.max(most, instance.handle.split(' ').length)
    }, 5)
    t.after(() => clearInterval(watch))
    const one = async (n: number) => {
      const client = await connectRaw(t, url)
      const text = `client ${n}`
      assert.equal(await client.call('echo', { text }), text)
      const pid = await client.call('pid')
      assert.equal(await client.call('pid'), pid)
      await client.end()
      return pid
    }
    const pids = await Promise.all(Array.from({ length: 200 }, (_, n) => one(n)))
    assert.equal(new Set(pids).size, 200)
    assert.ok(most <= 6, `${most} processes`)
    assert.equal(instance.sessions, 0)
    await instance.stop(2_000)
    assert.deepEqual(pids.map(Number).filter(isAlive), [])
  })

  test('kill -9 in a call fails that session alone', async t => {
    const { url } = await startBridge(t, odd())
    const [victim, other] = [await connectSdk(t, 'v1', url), await connectSdk(t, 'v1', url)]
    const pid = Number(await victim.callText('pid'))
    const hanging = victim.call('hang')
    const kept = other.callText('slow', { ms: 100 })
    process.kill(pid, 'SIGKILL')
    const { message } = await failure(hanging)
    assert.match(message, /kb: its process killed by SIGKILL from outside/)
    assert.equal(await kept, 'done')
    assert.match((await failure(victim.call('pid'))).message, /the session has ended.*initialize again/)
    const again = await connectSdk(t, 'v1', url)
    assert.notEqual(Number(await again.callText('pid')), pid)
  })

  test('a process that ends in a call leaves its last words', async t => {
    const { url } = await startBridge(t, odd())
    const client = await connectSdk(t, 'v1', url)
    const { message } = await failure(client.call('exit'))
    assert.match(message, /kb: its process ended with exit code 7; it said: fatal: out of cheese$/)
  })

  test('one that ends at its start says so to whoever asks', async t => {
    const { url, instance } = await startBridge(t, odd('exit'), { warm: 0 })
    const { error } = await (await send(t, url, initialize(1))).json()
    assert.match(
      error.message,
      /ended with exit code 3 before it answered anything; it said: Error: KB_TOKEN is not set/,
    )
    assert.equal(await instance.selfCheck(), false)
  })

  test('one that ends at its start while it should be warm ends the instance, with the reason', async t => {
    const { instance } = await startBridge(t, odd('exit'))
    const { reason } = await within(instance.ended, 'the end')
    assert.match(reason, /exit code 3 .*KB_TOKEN is not set/)
  })

  test('a command that is not there fails the launch for good', async t => {
    await assert.rejects(startBridge(t, ['/no/such/program']), {
      name: 'LaunchError',
      permanent: true,
      message: /the command "\/no\/such\/program" is not there/,
    })
  })

  test('garbage and separators on standard output harm nothing', async t => {
    const { url } = await startBridge(t, odd('banner'))
    const client = await connectSdk(t, 'v1', url)
    assert.equal(await client.callText('garbage'), 'fine')
    assert.equal(await client.callText('separators'), 'a\u2028b\u2029c\u0085d')
    assert.deepEqual(client.errors, [])
  })

  test('large messages pass both ways, larger ones are refused by name', async t => {
    const { url } = await startBridge(t, odd(), { maxLineBytes: 4 * MIB })
    const client = await connectSdk(t, 'v1', url)
    const text = 'ä\u2028"\\'.repeat(400_000)
    assert.equal(await client.callText('echo', { text }), text)
    const { message } = await failure(client.call('long', { bytes: 5 * MIB }))
    assert.match(message, /kb wrote a message of 524\d{4} bytes, more than max_line_bytes \(4194304\)/)
    assert.equal((await client.callText('long', { bytes: 1000 })).length, 1000)
  })

  test('nothing outlives a stop, not even what does not want to end', async t => {
    const { url, instance } = await startBridge(t, odd('stubborn'), { warm: 2 })
    const client = await connectSdk(t, 'v1', url)
    const pid = Number(await client.callText('pid'))
    await until(() => instance.handle.split(' ').length === 3, 'three processes')
    const pids = instance.handle.split(' ').map(Number)
    assert.ok(pids.includes(pid))
    const usage = await instance.usage()
    assert.ok(usage !== null && usage.memoryBytes > MIB)
    await instance.stop(200)
    assert.deepEqual(pids.filter(isAlive), [])
  })
})

/** A legacy session without an SDK: two hundred of those would be the test's own load. */
async function connectRaw(scope: Scope, url: string) {
  const opened = await within(begin(scope, url, initialize()).answer, 'a session', 90_000)
  await opened.body()
  const session = opened.headers['mcp-session-id'] as string
  let id = 0
  return {
    async call(name: string, args: object = {}): Promise<string> {
      const answer = await send(scope, url, legacy(rpc(++id, 'tools/call', { name, arguments: args }), { session }))
      return (await answer.json()).result.content[0].text
    },
    async end(): Promise<void> {
      await send(scope, url, { method: 'DELETE', headers: { 'mcp-session-id': session } })
    },
  }
}
