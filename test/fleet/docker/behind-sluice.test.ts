import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { ENGINE, NEEDS_DOCKER, testImage } from '../../helpers/docker.ts'
import { initialize, modern } from '../../helpers/mcp-messages.ts'
import { type RunningSluice, startSluice } from '../../helpers/program.ts'
import { until } from '../../helpers/scope.ts'
import { lastFirst, tempDir } from '../kit.ts'

/** `sluice run` with servers in containers. Gives what starts it again, and counts containers of its instance. */
async function setup(t: TestContext) {
  const dir = await tempDir(t)
  const file = join(dir, 'sluice.yaml')
  const instance = `test-${randomUUID().slice(0, 8)}`
  const image = await testImage()
  const write = (version: string): void => {
    const common = { image, memory: '128MiB', env: { VERSION: version }, stop_grace: '1s' }
    const servers = { http: { ...common, port: 3000 }, stdio: { ...common, args: ['/stdio.mjs'] } }
    writeFileSync(file, JSON.stringify({ state_dir: dir, fleet: { instance }, timeouts: { drain: '5s' }, servers }))
  }
  const containers = async (): Promise<string[]> => {
    const filters = { label: [`sluice.instance=${instance}`] }
    const found = await ENGINE.docker.listContainers({ all: true, filters })
    return found.map(({ Id }) => Id)
  }
  lastFirst(t).after(async () => {
    for (const id of await containers()) await ENGINE.docker.getContainer(id).remove({ force: true })
  })
  write('1')
  return { write, containers, run: (): Promise<RunningSluice> => startSluice(lastFirst(t), ['-c', file]) }
}

/** The server over HTTP is asked for its tools, the one over stdio to begin a session. */
async function ask(sluice: RunningSluice, server: 'http' | 'stdio'): Promise<string> {
  const { headers, body } = server === 'http' ? modern(1, 'tools/list') : initialize(1)
  const url = `${new URL(sluice.url).origin}/servers/${server}/mcp`
  const response = await fetch(url, { method: 'POST', headers, body })
  const text = await response.text()
  assert.equal(response.status, 200, `${server}: ${text}`)
  return text
}

describe('containers behind sluice run', NEEDS_DOCKER, () => {
  it('start for the first call, over HTTP and over stdio, and go with sluice', async t => {
    const { run, containers } = await setup(t)
    const sluice = await run()
    assert.deepEqual(await containers(), [])
    assert.match(await ask(sluice, 'http'), /"tools"/)
    assert.match(await ask(sluice, 'stdio'), /"protocolVersion"/)
    assert.ok((await containers()).length >= 2)
    assert.equal(await sluice.stop(), 0)
    assert.deepEqual(await containers(), [])
  })

  it('are removed at the next start when sluice was killed', async t => {
    const { run, containers } = await setup(t)
    const first = await run()
    await ask(first, 'http')
    const orphans = await containers()
    assert.equal(orphans.length, 1)
    first.child.kill('SIGKILL')
    await until(() => first.child.signalCode !== null, 'its death')
    const next = await run()
    assert.deepEqual(await containers(), [])
    await ask(next, 'http')
    assert.ok(!(await containers()).includes(orphans[0] ?? ''))
  })

  it('are replaced when their configuration changes', async t => {
    const { run, containers, write } = await setup(t)
    const sluice = await run()
    await ask(sluice, 'http')
    const [old = ''] = await containers()
    write('2')
    for (let tries = 0; tries < 200 && (await containers()).includes(old); tries++) await ask(sluice, 'http')
    const [now = ''] = await containers()
    const { Config } = await ENGINE.docker.getContainer(now).inspect()
    assert.ok(Config.Env.includes('VERSION=2'))
  })
})
