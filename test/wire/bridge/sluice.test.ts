import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { comparable, EVERYTHING, ready, STEPS } from '../../helpers/everything.ts'
import { startSluice } from '../../helpers/program.ts'
import { suiteScope, within } from '../../helpers/scope.ts'
import { connectSdk, connectStdio, ELICITED, type Peer } from '../../helpers/sdk-clients.ts'

const MODERN = fileURLToPath(new URL('../fixtures/modern-stdio.ts', import.meta.url))
const ODD = fileURLToPath(new URL('../fixtures/odd-stdio.mjs', import.meta.url))
const CLIENTS: Peer[] = ['v1', 'v2 legacy', 'v2 auto']
/** On pipes of its own the SDK's client loses a progress notification that comes in one piece with the answer. */
const LOSSY = ['a long call with progress']

/** Servers over stdio as their users have them: in `sluice.yaml`, behind two workers. */
describe('servers over stdio behind Sluice', () => {
  const scope = suiteScope()
  let url = ''

  before(async () => {
    const dir = mkdtempSync(join(tmpdir(), 'sluice-stdio-'))
    scope.after(() => rmSync(dir, { recursive: true, force: true }))
    const servers = {
      everything: { command: [process.execPath, EVERYTHING, 'stdio'] },
      modern: { command: [process.execPath, MODERN], replicas: 1 },
      odd: { command: [process.execPath, ODD], max_line_bytes: '1MiB' },
      broken: { command: [process.execPath, ODD, 'exit'], restart: { max_attempts: 0 } },
    }
    const file = join(dir, 'sluice.yaml')
    writeFileSync(file, JSON.stringify({ workers: 2, state_dir: join(dir, 'state'), servers }))
    const sluice = await startSluice(scope, ['-c', file], {})
    url = new URL('/servers', sluice.url).href
  })

  const at = (server: string): string => `${url}/${server}/mcp`

  for (const peer of CLIENTS) {
    test(`server-everything answers ${peer} as it does directly`, async t => {
      const command = [process.execPath, EVERYTHING, 'stdio']
      const direct = await connectStdio(t, peer, command)
      const behind = await connectSdk(t, peer, at('everything'))
      for (const client of [direct, behind]) await ready(client)
      for (const [name, step] of Object.entries(STEPS)) {
        const answer = comparable(await step(behind))
        if (!LOSSY.includes(name)) assert.deepEqual(answer, comparable(await step(direct)), name)
      }
      await behind.transport.terminateSession()
    })
  }

  test('one modern process serves the clients of both workers', async t => {
    const clients = await Promise.all(Array.from({ length: 6 }, () => connectSdk(t, 'v2 auto', at('modern'))))
    assert.ok(clients.every(client => client.isModern))
    const pids = await Promise.all(clients.map(client => client.callText('pid')))
    assert.equal(new Set(pids).size, 1)
    const ticks: number[] = []
    const onprogress = ({ progress }: { progress: number }) => void ticks.push(progress)
    assert.equal(await clients[0]?.callText('tick', { times: 5 }, { onprogress }), '5 ticks')
    assert.deepEqual(ticks, [1, 2, 3, 4, 5])
    assert.equal(await clients[1]?.callText('ask'), `hello ${ELICITED.name}`)
  })

  test('what goes wrong with a process is told to the client whose call it was', async t => {
    const client = await connectSdk(t, 'v1', at('odd'))
    const other = await connectSdk(t, 'v1', at('odd'))
    assert.equal(await client.callText('garbage'), 'fine')
    await assert.rejects(
      client.call('long', { bytes: 2_000_000 }),
      /odd wrote a message of 2\d{6} bytes, more than max_line_bytes/,
    )
    await assert.rejects(
      within(client.call('exit'), 'a failure'),
      /odd: its process ended with exit code 7; it said: .*fatal: out of cheese/,
    )
    await assert.rejects(client.call('pid'), /initialize again/)
    assert.equal(await other.callText('echo', { text: 'still here' }), 'still here')
  })

  test('a server that does not start says why', async t => {
    await assert.rejects(within(connectSdk(t, 'v1', at('broken')), 'a failure'), /KB_TOKEN is not set/)
  })
})
