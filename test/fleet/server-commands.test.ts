import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { act } from '../../proxy/cli/server/act.ts'
import { logs } from '../../proxy/cli/server/logs.ts'
import { ls, status } from '../../proxy/cli/server/show.ts'
import { defaultConfig } from '../../proxy/config/config.ts'
import type { ServerSpec } from '../../proxy/fleet/spec.ts'
import { openControl } from '../../proxy/observe/control.ts'
import { ControlRoutes } from '../../proxy/observe/control-routes.ts'
import type { ReplicaReport } from '../../proxy/upstream/pool-report.ts'
import type { PoolReports } from '../../proxy/wiring/server-report.ts'
import { serverRoutes } from '../../proxy/wiring/server-routes.ts'
import { type Scope, until } from '../helpers/scope.ts'
import { childServer, isRunning, lastFirst, startFleet, type TestFleet, tempDir } from './kit.ts'

const STATIC: ServerSpec = {
  ...childServer({}, {}, 'far'),
  source: { kind: 'static', places: [{ id: 'http://far/mcp?key=hidden', url: 'http://far/mcp', socketPath: '' }] },
}

interface Desk extends TestFleet {
  readonly flags: { readonly socket: string }
  pools: PoolReports[]
}

/** A fleet behind a control socket, as a proxy has it. */
async function open(scope: Scope, specs: readonly ServerSpec[]): Promise<Desk> {
  const test = await startFleet(scope, specs, { drainMs: 300 })
  const socket = join(await tempDir(scope), 'c.sock')
  const desk: Desk = Object.assign(Object.create(test) as TestFleet, { flags: { socket }, pools: [] as PoolReports[] })
  const routes = new ControlRoutes(
    serverRoutes({ fleet: test.fleet, pools: async () => desk.pools, config: () => defaultConfig({}) }),
  )
  const control = await openControl({ path: socket, answer: ask => routes.answer(ask) })
  lastFirst(scope).after(() => control.close())
  return desk
}

/** What a command prints, and its exit code. */
async function said(run: (print: (text: string) => void) => Promise<number>): Promise<[string, number]> {
  let text = ''
  const code = await run(more => {
    text += more
  })
  return [text, code]
}

const WAIT = { wait: true, timeout: 20_000 }
const REPORT: ReplicaReport = { id: '', state: 'ready', circuit: 'closed', avoided: false, inFlight: 0, failures: 0 }

describe('sluice server', () => {
  it('lists servers, with what all workers say about their replicas', async t => {
    const desk = await open(t, [childServer({ min: 1, max: 3 }), STATIC])
    await desk.ready(1)
    const [place] = desk.places.places
    desk.pools = [
      { kb: [{ ...REPORT, id: place?.id ?? '', inFlight: 2 }], far: [{ ...REPORT, id: 'http://far/mcp?key=hidden' }] },
      { kb: [{ ...REPORT, id: place?.id ?? '', inFlight: 1, circuit: 'open', failures: 5 }] },
    ]
    const [text, code] = await said(print => ls(desk.flags, print))
    assert.equal(code, 0)
    const [head = '', kb = '', far = ''] = text.split('\n')
    assert.match(head, /^SERVER\s+SOURCE\s+STATE\s+READY\s+BOUNDS\s+IN FLIGHT\s+WAITING\s+RESTARTS/)
    assert.match(kb, /^kb\s+process\s+ready\s+1\/1\s+1-3\s+3\s+0\s+0/)
    assert.match(far, /^far\s+static\s+ready\s+1\/1\s+0\s+0$/)
    const [shown] = await said(print => status('', desk.flags, print))
    assert.match(shown, /kb: ready, process, 1\/1 ready \(1-3\), in flight 3, waiting 0, restarts 0\n/)
    assert.match(shown, new RegExp(`${place?.id}\\s+ready\\s+\\d+s\\s+3\\s+open .*pid \\d+\\s+5 calls failed in a row`))
    assert.doesNotMatch(shown, /hidden/)
    const [json] = await said(print => status('kb', { ...desk.flags, json: true }, print))
    const { name, in_flight, replicas } = JSON.parse(json)
    assert.deepEqual([name, in_flight, replicas.length, replicas[0].breaker], ['kb', 3, 1, 'open'])
  })

  it('restarts, stops and starts one, and waits until it is done', async t => {
    const desk = await open(t, [childServer({ min: 1 })])
    await desk.ready(1)
    const pid = (): number => Number(desk.fleet.status('kb')?.replicas.find(({ state }) => state === 'ready')?.handle)
    const first = pid()
    const complain = (text: string): void => assert.fail(text)
    const [restarted, code] = await said(print => act('kb', 'restart', { ...desk.flags, ...WAIT }, print, complain))
    assert.equal(code, 0)
    assert.match(restarted, /^kb: ready/)
    await until(() => !isRunning(first), 'the old one to be gone')
    const second = pid()
    assert.notEqual(second, first)
    const [stopped] = await said(print => act('kb', 'stop', { ...desk.flags, ...WAIT }, print, complain))
    assert.match(stopped, /^kb: stopped.*\n {2}why: stopped by the operator\n {2}no replicas\n$/)
    assert.equal(isRunning(second), false)
    const [started] = await said(print => act('kb', 'start', { ...desk.flags, ...WAIT, json: true }, print, complain))
    assert.deepEqual(JSON.parse(started).state, 'ready')
  })

  it('says why one has failed, by its text and its exit code', async t => {
    const restart = { delayMs: 10, maxAttempts: 1, windowMs: 60_000 }
    const desk = await open(t, [childServer({ min: 1, restart }, { MODE: 'exit' })])
    await until(() => desk.fleet.status('kb')?.state === 'failed', 'failed', 20_000)
    const [text, code] = await said(print => status('kb', desk.flags, print))
    assert.equal(code, 1)
    assert.match(text, /^kb: failed, process, 0\/0 ready \(1\).*\n {2}why: ended with exit code 7/)
    const [, started] = await said(print => act('kb', 'start', { ...desk.flags, ...WAIT }, print, () => {}))
    assert.equal(started, 1)
    let complaint = ''
    const impatient = { ...desk.flags, wait: true, timeout: 1 }
    const complain = (more: string): void => void (complaint += more)
    const [, late] = await said(print => act('kb', 'start', impatient, print, complain))
    assert.equal(late, 1)
    assert.match(complaint, /^sluice: kb is (starting|waiting): not done in time/)
  })

  it('shows what replicas write, and follows', async t => {
    const desk = await open(t, [childServer({ min: 1 }, { VERSION: '7' })])
    await desk.ready(1)
    const [text] = await said(print =>
      logs('kb', { ...desk.flags, lines: 10 }, print, AbortSignal.abort()).catch(() => 1),
    )
    assert.equal(text, '')
    const stop = new AbortController()
    let followed = ''
    const flags = { ...desk.flags, lines: 10, follow: true }
    const following = logs('kb', flags, more => void (followed += more), stop.signal)
    await until(() => followed.includes('version 7 starts'), 'the line of the start')
    assert.match(followed, /^\d{4}-\d{2}-\d{2}T[0-9:.]+Z {2}kb-1-[0-9a-f]{6} {2}version 7 starts\n$/)
    desk.fleet.restart('kb')
    await until(() => followed.split('version 7 starts').length === 3, 'the line of the next one')
    stop.abort()
    assert.equal(await following, 0)
    const [json] = await said(print =>
      logs('kb', { ...desk.flags, lines: 1, json: true }, print, new AbortController().signal),
    )
    assert.deepEqual(Object.keys(JSON.parse(json)), ['timestamp', 'replica', 'line'])
  })

  it('says what is wrong with a name, and what cannot be done', async t => {
    const desk = await open(t, [childServer(), STATIC])
    const failing = async (run: Promise<number>, message: RegExp, exitCode = 2): Promise<void> => {
      await assert.rejects(run, (error: Error & { exitCode: number }) => {
        assert.match(error.message, message)
        assert.equal(error.exitCode, exitCode)
        return true
      })
    }
    const none = (): void => {}
    await failing(status('fra', desk.flags, none), /^sluice: there is no server "fra", did you mean "far"\?$/)
    await failing(status('xyzzy', desk.flags, none), /there is no server "xyzzy"; there are: far, kb$/)
    const addresses = /^sluice: cannot restart "far": others run its replicas at the addresses in the configuration$/
    await failing(act('far', 'restart', { ...desk.flags, ...WAIT }, none, none), addresses)
    const { signal } = new AbortController()
    await failing(logs('far', { ...desk.flags, lines: 1 }, none, signal), /cannot show the logs of "far": others run/)
    await failing(ls({ socket: `${desk.flags.socket}x` }, none), /no running proxy at .*start it/, 1)
  })
})
