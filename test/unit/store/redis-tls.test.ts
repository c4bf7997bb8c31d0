import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { systemClock } from '../../../proxy/base/clock.ts'
import { channels, type Notice } from '../../../proxy/observe/channels.ts'
import { RedisStore } from '../../../proxy/store/redis.ts'
import type { RedisPlace } from '../../../proxy/store/redis-client.ts'
import { NEEDS_REDIS, placeOf, type RedisServer, startRedis } from '../../helpers/redis.ts'
import { type Scope, suiteScope } from '../../helpers/scope.ts'
import { quota, takes } from './store-suite.ts'

const NAME = 'redis.test'
const PASSWORD = 's3cret-word'

const NEEDS =
  NEEDS_REDIS.skip === false && spawnSync('openssl', ['version']).error !== undefined && process.env['CI'] === undefined
    ? { skip: 'openssl is not installed' }
    : NEEDS_REDIS

/** Files of an authority, of a server with this name, of a client, and of an authority that nobody trusts. */
interface Certificates {
  readonly dir: string
  readonly ca: string
  readonly other: string
}

function openssl(dir: string, ...args: string[]): void {
  const { status, stderr } = spawnSync('openssl', args, { cwd: dir, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
}

function makeCertificates(scope: Scope): Certificates {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-tls-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes']
  for (const ca of ['ca', 'other']) {
    openssl(
      dir,
      'req',
      '-x509',
      ...key,
      '-keyout',
      `${ca}.key`,
      '-out',
      `${ca}.pem`,
      '-subj',
      `/CN=${ca}`,
      '-days',
      '2',
    )
  }
  for (const [who, name] of [
    ['server', NAME],
    ['client', 'sluice'],
  ] as const) {
    openssl(dir, 'req', ...key, '-keyout', `${who}.key`, '-out', `${who}.csr`, '-subj', `/CN=${name}`)
    writeFileSync(join(dir, `${who}.ext`), `subjectAltName=DNS:${name}\n`)
    const signed = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${who}.ext`]
    openssl(dir, 'x509', '-req', '-in', `${who}.csr`, '-out', `${who}.pem`, ...signed)
  }
  return { dir, ca: join(dir, 'ca.pem'), other: join(dir, 'other.pem') }
}

describe('Redis over TLS, with certificates of clients and an ACL user', NEEDS, () => {
  const scope = suiteScope()
  let files: Certificates
  let redis: RedisServer

  before(async () => {
    files = makeCertificates(scope)
    const inDir = (file: string): string => join(files.dir, file)
    const user = ['--user', 'sluice', 'on', `>${PASSWORD}`, '~tls:*', '+@all', '--user', 'default', 'off']
    redis = await startRedis(scope, port => [
      ...['--port', '0', '--tls-port', String(port), '--tls-ca-cert-file', inDir('ca.pem')],
      ...['--tls-cert-file', inDir('server.pem'), '--tls-key-file', inDir('server.key'), '--tls-auth-clients', 'yes'],
      ...user,
    ])
  })

  const right = (): NonNullable<RedisPlace['tls']> => ({
    ca: files.ca,
    cert: join(files.dir, 'client.pem'),
    key: join(files.dir, 'client.key'),
    serverName: NAME,
  })

  async function open(rest: Partial<RedisPlace>): Promise<RedisStore> {
    const place = placeOf([redis.port], {
      username: 'sluice',
      password: PASSWORD,
      tls: right(),
      timeoutMs: 2000,
      ...rest,
    })
    const store = new RedisStore({ place, prefix: 'tls:', processes: 1, clock: systemClock })
    scope.after(() => store.close())
    await store.open()
    return store
  }

  it('keeps limits and values', async () => {
    const store = await open({})
    assert.equal(await takes(store, 'k', 5, quota(3)), 3)
    await store.set('v', Buffer.from([0, 255, 10]), 10_000)
    assert.deepEqual(Buffer.from((await store.get('v')) ?? []), Buffer.from([0, 255, 10]))
    assert.ok((await store.hold('p', 1, 'refuse')) !== null)
  })

  const WRONG: Readonly<Record<string, () => Partial<RedisPlace>>> = {
    'a server that nobody vouches for': () => ({ tls: { ...right(), ca: files.other } }),
    'a server that the public authorities do not know': () => ({ tls: { ...right(), ca: '' } }),
    'a server of another name': () => ({ tls: { ...right(), serverName: 'other.test' } }),
    'no certificate of our own': () => ({ tls: { ...right(), cert: '', key: '' } }),
    'no TLS': () => ({ tls: null }),
    'a wrong password': () => ({ password: 'wr0ng-word' }),
  }
  for (const [name, rest] of Object.entries(WRONG)) {
    it(`is not used: ${name}`, async t => {
      const notices: Notice[] = []
      const listen = (notice: unknown): void => void notices.push(notice as Notice)
      channels.notice.subscribe(listen)
      t.after(() => void channels.notice.unsubscribe(listen))
      const store = await open({ ...rest(), connectTimeoutMs: 1000, timeoutMs: 500 })
      await assert.rejects(async () => store.take('k', 1, quota(3)), { code: 'store_unreachable' })
      assert.equal(notices.length, 1)
      assert.doesNotMatch(JSON.stringify(notices), /wr0ng-word|s3cret-word/)
    })
  }
})
