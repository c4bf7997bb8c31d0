import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it, type TestContext } from 'node:test'
import { type Asked, ask, testPool } from '../../helpers/pool.ts'

const SCRIPT = join(import.meta.dirname, 'counting-server.ts')
const KILLS = 4
/** Requests between two kills, and how many of them run at a time. */
const BETWEEN = 150
const AT_ONCE = 12

interface Child {
  readonly process: ChildProcess
  readonly url: string
}

async function startChild(t: TestContext, ledger: string): Promise<Child> {
  const child = spawn(process.execPath, [SCRIPT, ledger], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => void child.kill('SIGKILL'))
  const [port] = (await once(child.stdout, 'data')) as [Buffer]
  return { process: child, url: `http://127.0.0.1:${Number(port)}/mcp` }
}

/** How often each id was executed. */
function executions(ledger: string): Map<number, number> {
  const counts = new Map<number, number>()
  for (const line of readFileSync(ledger, 'utf8').split('\n').filter(Boolean)) {
    counts.set(Number(line), (counts.get(Number(line)) ?? 0) + 1)
  }
  return counts
}

it('replicas killed under load: no read fails, no write is executed twice', { timeout: 60_000 }, async t => {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-kill-'))
  t.after(() => rmSync(dir, { recursive: true }))
  const ledger = join(dir, 'ledger')
  const alive = await Promise.all([1, 2, 3].map(() => startChild(t, ledger)))
  const { pool, coming } = testPool(t, { slowStartMs: 0 })
  const tell = (): void => coming(...alive.map(({ url }) => url))
  tell()
  const asked = new Map<number, Asked>()
  let id = 0
  let atKill = 0
  const isRead = (one: number): boolean => one % 2 === 0

  async function load(requests: number): Promise<void> {
    for (let i = 0; i < requests; i++) {
      const mine = id++
      const read = isRead(mine)
      const one = ask(pool, { repeatable: read, reads: read, body: Buffer.from(`{"id":${mine}}`) })
      asked.set(mine, one)
      await one.over
    }
  }
  const loads = (): Promise<unknown> => Promise.all(Array.from({ length: AT_ONCE }, () => load(BETWEEN / AT_ONCE)))

  for (let kill = 0; kill < KILLS; kill++) {
    const victim = alive.shift() as Child
    const running = loads()
    await Promise.race([...asked.values()].slice(-1).map(({ over }) => over))
    atKill += pool.list().find(({ id: url }) => url === victim.url)?.inFlight ?? 0
    victim.process.kill('SIGKILL')
    await once(victim.process, 'exit')
    // The fleet needs a while to see it: requests meet a dead replica meanwhile.
    await running
    alive.push(await startChild(t, ledger))
    tell()
    await loads()
  }

  const counts = executions(ledger)
  let failedWrites = 0
  for (const [one, { error, ends, status }] of asked) {
    assert.equal(ends, 1)
    if (isRead(one)) assert.deepEqual([one, error, status], [one, null, 200])
    else assert.ok((counts.get(one) ?? 0) <= 1, `write ${one} was executed ${counts.get(one)} times`)
    if (!isRead(one) && error !== null) failedWrites++
  }
  assert.ok(
    failedWrites <= KILLS * AT_ONCE,
    `${failedWrites} writes failed, ${atKill} calls ran on the killed replicas`,
  )
})
