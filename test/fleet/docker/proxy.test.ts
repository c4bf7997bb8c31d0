import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ENGINE, httpSpec, NEEDS_DOCKER, ownContainers, replicaId, testImage } from '../../helpers/docker.ts'
import { type RunningSluice, startSluice } from '../../helpers/program.ts'
import { type Scope, until } from '../../helpers/scope.ts'
import { lastFirst } from '../kit.ts'

describe('a proxy with servers in containers', NEEDS_DOCKER, () => {
  it('starts them when they are called, and leaves nothing behind', async t => {
    const scope = lastFirst(t)
    const setUp = await Setup.create(scope)
    const sluice = await setUp.run(scope)
    assert.deepEqual(await setUp.containers(), [], 'nobody has called yet')
    assert.equal(await setUp.call(sluice, 'http', 'echo', { text: 'over HTTP' }), 'over HTTP')
    assert.equal(await setUp.call(sluice, 'stdio', 'echo', { text: 'over stdio' }), 'over stdio')
    assert.equal(await setUp.call(sluice, 'stdio', 'networks'), 'lo')
    for (const server of ['http', 'stdio']) {
      assert.equal(await setUp.call(sluice, server, 'read', { path: '/run/secrets/token' }), 'hunter2')
      // What it says about its secrets stays between it and its clients.
      await setUp.call(sluice, server, 'say', { text: `my token is hunter2, says ${server}` })
      await until(() => sluice.output.includes(`says ${server}`), 'a line in the log')
    }
    assert.ok(!sluice.output.includes('hunter2'), 'no secret in the log')
    for (const { Id } of await setUp.containers()) {
      const seen = JSON.stringify(await ENGINE.docker.getContainer(Id).inspect())
      assert.ok(!seen.includes('hunter2'), 'no secret in docker inspect')
    }
    assert.equal(await sluice.stop(), 0)
    assert.deepEqual(await setUp.containers(), [])
  })

  it('replaces a container that ends', async t => {
    const scope = lastFirst(t)
    const setUp = await Setup.create(scope)
    const sluice = await setUp.run(scope)
    await setUp.call(sluice, 'http', 'whoami')
    const [first] = await setUp.containers()
    assert.ok(first)
    await ENGINE.docker.getContainer(first.Id).kill()
    await until(() => sluice.output.includes('ended by SIGKILL'), 'word of its end')
    assert.equal(await setUp.call(sluice, 'http', 'whoami'), '65534:65534')
    const now = await setUp.containers()
    assert.equal(now.length, 1)
    assert.notEqual(now[0]?.Id, first.Id)
  })

  it('removes what a killed one left behind, and nothing else', async t => {
    const scope = lastFirst(t)
    const setUp = await Setup.create(scope)
    const other = await Setup.create(scope)
    const [killed, neighbour] = await Promise.all([setUp.run(scope), other.run(scope)])
    await setUp.call(killed, 'http', 'whoami')
    await setUp.call(killed, 'stdio', 'whoami')
    await other.call(neighbour, 'http', 'whoami')
    const left = (await setUp.containers()).map(one => one.Id)
    assert.ok(left.length >= 2)
    const gone = once(killed.child, 'exit')
    killed.child.kill('SIGKILL')
    await gone
    assert.deepEqual((await setUp.containers()).map(one => one.Id).toSorted(), left.toSorted(), 'they run on')

    const next = await setUp.run(scope)
    assert.equal(await setUp.call(next, 'http', 'whoami'), '65534:65534')
    const now = (await setUp.containers()).map(one => one.Id)
    assert.deepEqual(
      now.filter(id => left.includes(id)),
      [],
    )
    assert.equal((await other.containers()).length, 1)
    assert.equal(await other.call(neighbour, 'http', 'echo', { text: 'alive' }), 'alive')
  })

  it('says why an image cannot be had', async t => {
    const scope = lastFirst(t)
    const setUp = await Setup.create(scope, 'sluice-test/nobody:1')
    const sluice = await setUp.run(scope)
    await assert.rejects(
      setUp.call(sluice, 'http', 'whoami'),
      /image sluice-test\/nobody:1 is not on the Docker engine/,
    )
  })
})

/** A configuration with one server over HTTP and one over stdio, of one image. */
class Setup {
  readonly instance = `test-${replicaId()}`
  readonly #dir = mkdtempSync(join(tmpdir(), 'sluice-proxy-'))

  static async create(scope: Scope, image?: string): Promise<Setup> {
    const setUp = new Setup()
    scope.after(() => setUp.#remove())
    const life = { pull: 'never', memory: '128MiB', stop_grace: '1s', image: image ?? (await testImage()) }
    const config = {
      state_dir: setUp.#dir,
      fleet: { instance: setUp.instance },
      timeouts: { drain: '3s' },
      servers: {
        http: { ...life, port: (await httpSpec()).port },
        stdio: { ...life, args: ['/stdio.mjs'] },
      },
      credentials: Object.fromEntries(['http', 'stdio'].map(name => [name, { files: { token: 'file:token' } }])),
    }
    writeFileSync(join(setUp.#dir, 'token'), 'hunter2', { mode: 0o600 })
    writeFileSync(join(setUp.#dir, 'sluice.yaml'), JSON.stringify(config))
    return setUp
  }

  run(scope: Scope): Promise<RunningSluice> {
    return startSluice(scope, ['-c', join(this.#dir, 'sluice.yaml')])
  }

  /** @throws Error with the proxy's words when the answer is no good one */
  async call(sluice: RunningSluice, server: string, name: string, args: object = {}): Promise<string> {
    const url = `${new URL(sluice.url).origin}/servers/${server}/mcp`
    const session = await this.#post(url, '', 'initialize', {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'test', version: '1' },
    })
    const { result } = await this.#post(url, session.id, 'tools/call', { name, arguments: args })
    return result.content[0].text
  }

  async containers(): Promise<{ Id: string }[]> {
    const lists = ['http', 'stdio'].map(server =>
      ownContainers({ engine: ENGINE, whose: { instance: this.instance, server } }),
    )
    return (await Promise.all(lists)).flat()
  }

  async #post(url: string, session: string, method: string, params: object) {
    const headers = {
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
      ...(session !== '' && { 'mcp-session-id': session }),
    }
    const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method, params })
    const response = await fetch(url, { method: 'POST', headers, body })
    const text = await response.text()
    const answer = JSON.parse(text.startsWith('{') ? text : (/^data: (.*)$/m.exec(text)?.[1] ?? '{}'))
    if (answer.result === undefined) throw new Error(text)
    return { id: response.headers.get('mcp-session-id') ?? '', result: answer.result }
  }

  async #remove(): Promise<void> {
    for (const { Id } of await this.containers()) {
      await ENGINE.docker
        .getContainer(Id)
        .remove({ force: true, v: true })
        .catch(() => {})
    }
    rmSync(this.#dir, { recursive: true, force: true })
  }
}
