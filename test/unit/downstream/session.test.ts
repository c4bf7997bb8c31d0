import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { loadSessionKey, maxTokenLength, SessionSealer } from '../../../proxy/downstream/session.ts'
import type { Scope } from '../../helpers/scope.ts'

const key = Buffer.alloc(32, 7)

function tempDir(scope: Scope): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-session-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

describe('SessionSealer', () => {
  it('opens what any holder of the key sealed, whatever the fields hold', () => {
    const field = fc.oneof(fc.string({ maxLength: 60 }), fc.constantFrom('', 'ä€😀', '"\\\u2028\0'))
    fc.assert(
      fc.property(field, field, field, field, field, (server, replica, upstreamId, principal, version) => {
        const token = new SessionSealer(key).seal(server, replica, upstreamId, principal, version)
        assert.match(token, /^[\x21-\x7e]+$/)
        const fingerprint = createHash('sha256').update(upstreamId).digest('hex').slice(0, 12)
        assert.deepEqual(
          { ...new SessionSealer(key).open(token) },
          { server, replica, upstreamId, principal, fingerprint, version },
        )
      }),
      { numRuns: 50 },
    )
  })

  it('gives another token each time and shows nothing of the upstream id', () => {
    const sealer = new SessionSealer(key)
    const id = 'upstream-session-id'
    const one = sealer.seal('s', 'r', id, 'p', 'v')
    assert.notEqual(one, sealer.seal('s', 'r', id, 'p', 'v'))
    assert.ok(!one.includes(id) && !Buffer.from(one, 'base64url').includes(id))
  })

  it('gives the same object for a token it knows', () => {
    const sealer = new SessionSealer(key)
    const token = sealer.seal('s', 'r', 'u', 'p', 'v')
    assert.equal(sealer.open(token), sealer.open(token))
  })

  it('opens no token with one bit changed, cut, extended or sealed with another key', () => {
    const sealer = new SessionSealer(key)
    const token = sealer.seal('server', 'replica', 'id', 'principal', '2025-11-25')
    const bytes = Buffer.from(token, 'base64url')
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const forged = Buffer.from(bytes)
      forged[bit >> 3] = (forged[bit >> 3] as number) ^ (1 << (bit & 7))
      assert.equal(sealer.open(forged.toString('base64url')), null, `bit ${bit}`)
    }
    for (let length = 0; length < token.length; length++) assert.equal(sealer.open(token.slice(0, length)), null)
    for (const extra of ['A', 'AAAA', '=', ' ', '\n', '.x']) assert.equal(sealer.open(token + extra), null)
    assert.equal(new SessionSealer(randomBytes(32)).open(token), null)
  })

  it('accepts one spelling of a token only', () => {
    const sealer = new SessionSealer(key)
    let tried = 0
    for (let extra = 0; extra < 3; extra++) {
      const token = sealer.seal('s', '', 'x'.repeat(extra), 'p', '')
      const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
      for (const last of alphabet) {
        const twin = token.slice(0, -1) + last
        const same = Buffer.from(twin, 'base64url').equals(Buffer.from(token, 'base64url'))
        if (twin === token || !same) continue
        tried++
        assert.equal(sealer.open(twin), null)
      }
    }
    assert.ok(tried > 0)
  })

  it('never throws on foreign input and looks at no token beyond its limit', () => {
    const sealer = new SessionSealer(key)
    fc.assert(fc.property(fc.string({ unit: 'binary', maxLength: 300 }), text => sealer.open(text) === null))
    const long = sealer.seal('s', 'r', 'u'.repeat(maxTokenLength), 'p', 'v')
    assert.ok(long.length > maxTokenLength)
    assert.equal(sealer.open(long), null)
  })

  it('refuses a key of another size', () => {
    assert.throws(() => new SessionSealer(Buffer.alloc(16)), /32 bytes/)
  })
})

describe('loadSessionKey', () => {
  it('derives the same key from the same secret, and never the secret itself', () => {
    const load = (sessionKey: string): Buffer => loadSessionKey({ sessionKey, stateDir: '/nowhere' })
    const secret = 'a secret that is more than long enough'
    assert.ok(load(secret).equals(load(secret)))
    assert.ok(!load(secret).equals(load(`${secret}!`)))
    assert.equal(load(secret).length, 32)
    assert.ok(!load('12345678901234567890123456789012').equals(Buffer.from('12345678901234567890123456789012')))
  })

  it('refuses a short secret without repeating it', () => {
    assert.throws(
      () => loadSessionKey({ sessionKey: 'hunter2', stateDir: '/nowhere' }),
      (error: Error) => {
        assert.match(error.message, /session_key: 7 characters are too few/)
        assert.ok(!error.message.includes('hunter2'))
        return true
      },
    )
  })

  it('makes the key once, private, and finds it again', t => {
    const stateDir = join(tempDir(t), 'deep', 'state')
    const first = loadSessionKey({ sessionKey: null, stateDir })
    const file = join(stateDir, 'session.key')
    assert.equal(statSync(file).mode & 0o777, 0o600)
    assert.ok(first.equals(loadSessionKey({ sessionKey: null, stateDir })))
    assert.ok(!first.equals(Buffer.from(readFileSync(file, 'utf8').trim(), 'hex')))
  })

  it('refuses a file that others may read, and says how to mend it', t => {
    const stateDir = tempDir(t)
    loadSessionKey({ sessionKey: null, stateDir })
    chmodSync(join(stateDir, 'session.key'), 0o640)
    assert.throws(() => loadSessionKey({ sessionKey: null, stateDir }), /mode 0640 .*chmod 600 /)
  })

  it('refuses an empty file', t => {
    const stateDir = tempDir(t)
    writeFileSync(join(stateDir, 'session.key'), '\n', { mode: 0o600 })
    assert.throws(() => loadSessionKey({ sessionKey: null, stateDir }), /expected a key of at least 32 characters/)
  })

  it('lets instances that start together agree on one key', async t => {
    const stateDir = tempDir(t)
    const gate = new Int32Array(new SharedArrayBuffer(4))
    const url = new URL('../../../proxy/downstream/session.ts', import.meta.url).href
    const source = `import { parentPort, workerData } from 'node:worker_threads'
      const { loadSessionKey } = await import(${JSON.stringify(url)})
      parentPort.postMessage('ready')
      Atomics.wait(workerData.gate, 0, 0)
      parentPort.postMessage(loadSessionKey({ sessionKey: null, stateDir: workerData.stateDir }).toString('hex'))`
    const workers = Array.from({ length: 4 }, () => {
      const script = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
      return new Worker(script, { workerData: { gate, stateDir } })
    })
    const next = (worker: Worker): Promise<string> =>
      new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    await Promise.all(workers.map(next))
    const keys = Promise.all(workers.map(next))
    Atomics.store(gate, 0, 1)
    Atomics.notify(gate, 0)
    assert.equal(new Set(await keys).size, 1)
  })
})
