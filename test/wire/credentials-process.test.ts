import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { systemClock } from '../../proxy/base/clock.ts'
import { SecretStore } from '../../proxy/credentials/store/secret-store.ts'
import { EVERYTHING } from '../helpers/everything.ts'
import { send } from '../helpers/http-client.ts'
import { legacy, rpc } from '../helpers/mcp-messages.ts'
import { startSluice } from '../helpers/program.ts'
import { until } from '../helpers/scope.ts'
import { type ScriptedUpstream, startScriptedUpstream } from '../helpers/scripted-upstream.ts'
import { connectSdk } from '../helpers/sdk-clients.ts'
import { startTokenEndpoint } from '../helpers/token-endpoint.ts'

interface Child {
  readonly pid: number
  readonly arguments: string
  readonly environment: string
}

/** The processes whose parent is `pid`, as everybody who may look at them sees them. */
function childrenOf(pid: number): Child[] {
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name))
    .flatMap(name => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
        if (Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]) !== pid) return []
        const read = (file: string): string => readFileSync(`/proc/${name}/${file}`, 'latin1')
        return [{ pid: Number(name), arguments: read('cmdline'), environment: read('environ') }]
      } catch {
        return []
      }
    })
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-workers-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function call(t: TestContext, url: string): Promise<string> {
  const answer = await send(t, url, legacy(rpc(1, 'ping')))
  const body = await answer.json()
  return body.error === undefined ? 'ok' : String(body.error.data?.code)
}

function echo(t: TestContext, refuse: () => string): Promise<ScriptedUpstream> {
  return startScriptedUpstream(t, (request, answer) => {
    if (request.header('authorization') === refuse()) answer.status(401, 'no', { 'www-authenticate': 'Bearer' })
    else answer.json({ jsonrpc: '2.0', id: request.json().id, result: {} })
  })
}

describe('credentials of several workers', () => {
  it('are kept by one process: fetched once, told to all, renewed once, and in no argument and no environment', async t => {
    const dir = folder(t)
    let refused = ''
    const endpoint = await startTokenEndpoint(t, (_, index) => ({
      body: { access_token: `planted-at-${index + 1}`, refresh_token: `planted-r${index + 1}`, expires_in: 3600 },
    }))
    const upstream = await echo(t, () => refused)
    const place = { file: join(dir, 'secrets.json'), keyFile: join(dir, 'secrets.key') }
    await new SecretStore({ ...place, clock: systemClock }).set('first', Buffer.from('planted-r0'))
    writeFileSync(join(dir, 'org'), 'planted-one')
    const file = join(dir, 'sluice.yaml')
    writeFileSync(
      file,
      `workers: 2
state_dir: ${dir}
servers: { s: { url: "${upstream.url}" } }
credentials:
  s:
    headers: { x-org: file:org }
    api_token: planted-at-0
    refresh: { url: "${endpoint.url}", refresh_token: secret:first, allow_http: true }
`,
    )
    const sluice = await startSluice(t, ['-c', file])
    const shown = (name: string): Set<string | undefined> => new Set(upstream.requests.map(one => one.header(name)))
    for (let i = 0; i < 6; i++) assert.equal(await call(t, sluice.url), 'ok')
    assert.deepEqual(shown('authorization'), new Set(['Bearer planted-at-0']))
    assert.deepEqual(shown('x-org'), new Set(['planted-one']))
    assert.equal(endpoint.questions.length, 0)

    const workers = childrenOf(sluice.child.pid as number)
    assert.equal(workers.length, 2)
    for (const worker of workers) assert.doesNotMatch(worker.arguments + worker.environment, /planted/)

    // A token that a server refuses is renewed by the one that keeps it.
    refused = 'Bearer planted-at-0'
    assert.deepEqual(await Promise.all(Array.from({ length: 8 }, () => call(t, sluice.url))), Array(8).fill('ok'))
    assert.deepEqual(
      endpoint.questions.map(({ fields }) => fields['refresh_token']),
      ['planted-r0'],
    )

    // A changed file reaches all of them.
    writeFileSync(join(dir, 'draft'), 'planted-two')
    renameSync(join(dir, 'draft'), join(dir, 'org'))
    sluice.child.kill('SIGHUP')
    // Connections are handed out in turn: two in a row are both workers.
    const isFresh = async (): Promise<boolean> => {
      for (let i = 0; i < 2; i++) await call(t, sluice.url)
      return upstream.requests.slice(-2).every(one => one.header('x-org') === 'planted-two')
    }
    const limit = performance.now() + 10_000
    while (!(await isFresh()) && performance.now() < limit) await new Promise(resolve => setTimeout(resolve, 20))
    assert.ok(await isFresh())

    // So does one that takes a dead one's place.
    process.kill(workers[0]?.pid as number, 'SIGKILL')
    await until(() => {
      const now = childrenOf(sluice.child.pid as number)
      return now.length === 2 && !now.some(({ pid }) => pid === workers[0]?.pid)
    }, 'another worker')
    await until(() => sluice.output.split('worker serves').length === 4, 'the other worker to serve')
    const again = upstream.requests.length
    for (let i = 0; i < 6; i++) assert.equal(await call(t, sluice.url), 'ok')
    for (const one of upstream.requests.slice(again)) assert.equal(one.header('authorization'), 'Bearer planted-at-1')
    assert.equal(endpoint.questions.length, 1)
    assert.doesNotMatch(sluice.output, /planted/)
  })
})

describe('credentials of replicas', () => {
  for (const workers of [1, 2]) {
    it(`reach a server over stdio as variables and files, and follow changes (${workers} of workers)`, async t => {
      const dir = folder(t)
      writeFileSync(join(dir, 'token'), 'planted-one\n')
      writeFileSync(join(dir, 'pem'), 'planted-line\nplanted-line\n')
      const file = join(dir, 'sluice.yaml')
      const config = {
        workers,
        state_dir: join(dir, 'state'),
        servers: { all: { command: [process.execPath, EVERYTHING, 'stdio'] } },
        credentials: {
          all: { api_token: 'file:token', connection_string: '${DATABASE_URL}', files: { 'ca.pem': 'file:pem' } },
        },
      }
      writeFileSync(file, JSON.stringify(config))
      const sluice = await startSluice(t, ['-c', file], { env: { DATABASE_URL: 'pg://planted-db' } })
      const variables = async (): Promise<Record<string, string>> => {
        const client = await connectSdk(t, 'v1', sluice.url)
        const text = await client.callText('get-env')
        await client.transport.terminateSession()
        return JSON.parse(text)
      }
      const env = await variables()
      assert.deepEqual(
        [env['API_TOKEN'], env['CONNECTION_STRING'], env['DATABASE_URL']],
        ['planted-one', 'pg://planted-db', 'pg://planted-db'],
      )
      assert.equal(readFileSync(env['CA_PEM_FILE'] ?? '', 'utf8'), 'planted-line\nplanted-line\n')
      assert.equal(statSync(env['CA_PEM_FILE'] ?? '').mode & 0o777, 0o600)
      for (const { arguments: line } of childrenOf(sluice.child.pid as number)) assert.doesNotMatch(line, /planted/)

      writeFileSync(join(dir, 'draft'), 'planted-two')
      renameSync(join(dir, 'draft'), join(dir, 'token'))
      sluice.child.kill('SIGHUP')
      const limit = performance.now() + 15_000
      let now = ''
      while (now !== 'planted-two' && performance.now() < limit) {
        now = (await variables().catch(() => env))['API_TOKEN'] ?? ''
      }
      assert.equal(now, 'planted-two')
      assert.doesNotMatch(sluice.output, /planted/)
    })
  }
})
