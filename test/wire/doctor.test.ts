import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Finding } from '../../proxy/cli/doctor/finding.ts'
import { NEEDS_REDIS, startRedis } from '../helpers/redis.ts'

const FIXTURES = join(import.meta.dirname, 'fixtures')
const dir = mkdtempSync(join(tmpdir(), 'doctor-'))
const file = (name: string): string => join(dir, name)
let taken: Server
let port = 0

before(async () => {
  taken = createServer()
  await new Promise<void>(resolve => taken.listen(0, '127.0.0.1', resolve))
  port = (taken.address() as { port: number }).port
})
after(() => {
  taken.close()
  rmSync(dir, { recursive: true })
})

async function doctor(
  yaml: string,
  env: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; findings: Finding[] }> {
  writeFileSync(file('sluice.yaml'), yaml)
  const args = [join(import.meta.dirname, '../../proxy/cli/sluice.ts'), 'doctor', '-c', file('sluice.yaml'), '--json']
  const child = spawn(process.execPath, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', chunk => {
    out += chunk
  })
  const code = await new Promise<number | null>(resolve => child.on('close', resolve))
  return { code, findings: JSON.parse(out) as Finding[] }
}

const base = (rest: string): string => `listen: 127.0.0.1:0\nadmin: off\nstate_dir: ${dir}/state\n${rest}`
const at = (findings: readonly Finding[], what: string): string[] =>
  findings.filter(one => one.what === what).map(({ status, text }) => `${status}: ${text}`)

describe('sluice doctor', () => {
  it('finds nothing where nothing is wrong', async () => {
    const { code, findings } = await doctor(base(`servers: { a: { url: "http://127.0.0.1:${port}/mcp" } }`))
    assert.equal(code, 0)
    assert.deepEqual(
      findings.filter(one => one.status !== 'ok'),
      [],
    )
    assert.deepEqual(at(findings, 'server a'), ['ok: takes connections'])
    assert.deepEqual(at(findings, 'instance'), ['ok: none runs with this configuration now'])
  })

  it('names what is wrong in the configuration, and stops there', async () => {
    const { code, findings } = await doctor('serverz: {}')
    assert.equal(code, 1)
    const [problem] = findings.filter(one => one.status === 'problem')
    assert.match(problem?.text ?? '', /sluice\.yaml:1:1: unknown key "serverz", did you mean "servers"\?$/)
  })

  it('says which secrets are not there, and none that are', async () => {
    writeFileSync(file('there'), 'planted-value', { mode: 0o600 })
    const yaml = base(`servers:
  a: { url: "http://127.0.0.1:${port}/mcp" }
  b: { url: "http://127.0.0.1:${port}/mcp" }
credentials:
  search_list: [${dir}/secrets]
  a: { api_token: file:there }
  b: { headers: { x-a: secret:none }, refresh: { url: https://auth.example/t, refresh_token: file:nowhere } }
`)
    const { code, findings } = await doctor(yaml)
    assert.equal(code, 1)
    assert.deepEqual(at(findings, 'credentials'), [
      `problem: b: no secret "none"; looked in ${dir}/secrets`,
      `problem: token of b: ${dir}/nowhere: no such file`,
    ])
    assert.doesNotMatch(JSON.stringify(findings), /planted/)
  })

  it('sees a port that is taken, servers and programs that are not there, a folder that cannot be', async () => {
    const { code, findings } = await doctor(
      `listen: 127.0.0.1:${port}\nadmin: off\nstate_dir: ${dir}/sluice.yaml/none\nservers:\n  a: { urls: ["http://127.0.0.1:${port}/mcp", "http://127.0.0.1:1/mcp"] }\n  b: { url: "http://127.0.0.1:1/mcp" }\n  c: { command: [no-such-program-here] }\n`,
    )
    assert.equal(code, 1)
    assert.deepEqual(at(findings, `port ${port} (listen)`), [
      `problem: 127.0.0.1:${port}: another program listens there`,
    ])
    assert.deepEqual(at(findings, 'server a'), ['warning: 1 of 2 replicas cannot be reached (ECONNREFUSED)'])
    assert.deepEqual(at(findings, 'server b'), ['problem: 1 of 1 replicas cannot be reached (ECONNREFUSED)'])
    assert.deepEqual(at(findings, 'server c'), ['problem: there is no program "no-such-program-here"'])
    assert.match(
      at(findings, 'state folder').join(),
      /^problem: .*none cannot be written to: .*sluice\.yaml is no folder$/,
    )
  })

  it('looks at certificate, key and who may read or change files', async () => {
    for (const name of ['tls-one.cert.pem', 'tls-one.key.pem', 'tls-two.key.pem'])
      copyFileSync(join(FIXTURES, name), file(name))
    chmodSync(file('tls-one.key.pem'), 0o644)
    const tls = (key: string): string =>
      base(`servers: { a: { url: "http://127.0.0.1:${port}/mcp" } }\ntls: { cert: tls-one.cert.pem, key: ${key} }\n`)
    const first = await doctor(tls('tls-one.key.pem'))
    assert.match(at(first.findings, 'certificate').join(), /^ok: .* days left$/)
    assert.deepEqual(at(first.findings, 'file modes'), [
      `warning: ${file('tls-one.key.pem')} has mode 644: others may read it`,
    ])
    const second = await doctor(tls('tls-two.key.pem'))
    assert.match(at(second.findings, 'certificate').join(), /^problem: .* does not belong to /)
  })

  it('asks for jq only where a policy needs it', async () => {
    mkdirSync(file('empty'), { recursive: true })
    writeFileSync(file('p.yaml'), 'version: 1\ninterceptors:\n  - { use: jq, options: { filter: . } }\n')
    const none = { JQ_PATH: file('no-jq') }
    const server = `servers: { a: { url: "http://127.0.0.1:${port}/mcp" } }\n`
    assert.match(at((await doctor(base(server), none)).findings, 'jq').join(), /^ok: there is none/)
    const { code, findings } = await doctor(base(`${server}policies: [p.yaml]\n`), none)
    assert.equal(code, 1)
    assert.match(at(findings, 'jq').join(), /^problem: JQ_PATH is /)
  })

  it('tries Redis, as the proxy would', NEEDS_REDIS, async t => {
    const redis = await startRedis(t, ['--requirepass', 'tulip-field'])
    const store = (password: string): string =>
      base(
        `servers: { a: { url: "http://127.0.0.1:${port}/mcp" } }\nstore: { redis: { url: "redis://127.0.0.1:${redis.port}"${password} } }\n`,
      )
    assert.match(
      at((await doctor(store(', password: tulip-field'))).findings, 'redis').join(),
      /^ok: standalone at 127\.0\.0\.1:\d+, version \d/,
    )
    const refused = await doctor(store(''))
    assert.match(at(refused.findings, 'redis').join(), /^problem: .*NOAUTH/)
    await redis.kill()
    const gone = await doctor(store(', password: tulip-field'))
    assert.match(at(gone.findings, 'redis').join(), /^problem: .*ECONNREFUSED/)
    assert.ok(!JSON.stringify([refused, gone]).includes('tulip-field'))
  })
})
