import assert from 'node:assert/strict'
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { withLock } from '../../../proxy/credentials/store/file-lock.ts'
import { SecretStore } from '../../../proxy/credentials/store/secret-store.ts'
import { FrozenClock } from '../../../proxy/testing/frozen-clock.ts'

function fresh(t: TestContext): { store: SecretStore; dir: string; file: string; keyFile: string; clock: FrozenClock } {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-store-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const clock = new FrozenClock('2026-11-21T10:00:00Z')
  const [file, keyFile] = [join(dir, 'secrets.json'), join(dir, 'secrets.key')]
  return { store: new SecretStore({ file, keyFile, clock }), dir, file, keyFile, clock }
}

const value = Buffer.from('ghp_planted-value')

async function text(store: SecretStore, name: string): Promise<string | undefined> {
  return (await store.read()).get(name)?.toString()
}

describe('the store of secrets', () => {
  it('gives back what was put in, under a key of its own, both of mode 0600', async t => {
    const { store, file, keyFile, dir } = fresh(t)
    assert.equal(await store.set('github', value), 1)
    assert.equal(await store.set('github', Buffer.from('two')), 2)
    assert.equal(await text(store, 'github'), 'two')
    assert.equal(await text(store, 'other'), undefined)
    for (const path of [file, keyFile]) assert.equal(statSync(path).mode & 0o777, 0o600)
    assert.deepEqual(readdirSync(dir).sort(), ['secrets.json', 'secrets.key'])
    assert.deepEqual(await store.list(), [{ name: 'github', version: 2, updated: '2026-11-21T10:00:00.000Z' }])
  })

  it('holds no value in clear, and the same value looks different each time', async t => {
    const { store, file } = fresh(t)
    await store.set('a', value)
    const first = readFileSync(file, 'utf8')
    await store.set('a', value)
    const second = readFileSync(file, 'utf8')
    for (const written of [first, second]) {
      for (const form of ['utf8', 'base64', 'hex'] as const) assert.ok(!written.includes(value.toString(form)))
    }
    assert.notEqual(JSON.parse(first).entries.a.data, JSON.parse(second).entries.a.data)
    assert.notEqual(JSON.parse(first).entries.a.nonce, JSON.parse(second).entries.a.nonce)
  })

  it('keeps bytes as they are', async t => {
    const { store } = fresh(t)
    const bytes = Buffer.from([0, 255, 10, 13, 128])
    await store.set('binary', bytes)
    assert.deepEqual((await store.read()).get('binary'), bytes)
  })

  for (const [what, change] of Object.entries({
    'another name': (file: Entries) => Object.assign(file.entries, { b: file.entries['a'] }),
    'another version': (file: Entries) => Object.assign(file.entries['a'] ?? {}, { version: 9 }),
    'another time': (file: Entries) => Object.assign(file.entries['a'] ?? {}, { updated: '2020-01-01T00:00:00.000Z' }),
    'other bytes': (file: Entries) =>
      Object.assign(file.entries['a'] ?? {}, { data: Buffer.alloc(40).toString('base64') }),
    'no tag': (file: Entries) => Object.assign(file.entries['a'] ?? {}, { data: '' }),
  })) {
    it(`refuses an entry with ${what}`, async t => {
      const { store, file } = fresh(t)
      await store.set('a', value)
      const content = JSON.parse(readFileSync(file, 'utf8')) as Entries
      change(content)
      writeFileSync(file, JSON.stringify(content))
      const snapshot = await store.read()
      assert.throws(
        () => snapshot.get(what === 'another name' ? 'b' : 'a'),
        /was changed without the key; set it again/,
      )
    })
  }

  it('names both keys when the key is another one', async t => {
    const { store, keyFile } = fresh(t)
    await store.set('a', value)
    writeFileSync(keyFile, Buffer.alloc(32, 7).toString('base64'))
    await assert.rejects(
      store.read(),
      /not the key of .*secrets\.json \(this is key \w{16}, the store needs \w{16}\); restore/,
    )
    await assert.rejects(store.set('b', value), /not the key of/)
    rmSync(keyFile)
    await assert.rejects(store.read(), /secrets\.key: no such file; it is the key of/)
    await assert.rejects(store.set('b', value), /no such file/)
    assert.ok(!existsSync(keyFile), 'no new key takes the place of one that is needed')
  })

  for (const mode of [0o640, 0o604, 0o660, 0o644]) {
    it(`refuses a key and a store of mode ${mode.toString(8)}`, async t => {
      const { store, file, keyFile } = fresh(t)
      await store.set('a', value)
      for (const path of [keyFile, file]) {
        chmodSync(path, mode)
        await assert.rejects(store.read(), /lets others at it, expected 0600 or 0400: run `chmod 600/)
        chmodSync(path, 0o400)
        assert.equal(await text(store, 'a'), value.toString())
      }
    })
  }

  for (const form of ['raw', 'hex', 'base64', 'base64url'] as const) {
    it(`takes a key written as ${form}`, async t => {
      const { store, keyFile } = fresh(t)
      const key = Buffer.alloc(32, 5)
      writeFileSync(keyFile, form === 'raw' ? key : `${key.toString(form)}\n`, { mode: 0o600 })
      await store.set('a', value)
      assert.equal(await text(store, 'a'), value.toString())
    })
  }

  it('refuses what is no key, no store, or a store of another version', async t => {
    const { store, file, keyFile } = fresh(t)
    writeFileSync(keyFile, 'short', { mode: 0o600 })
    await assert.rejects(store.set('a', value), /expected a key of 32 bytes in base64/)
    rmSync(keyFile)
    await store.set('a', value)
    const content = readFileSync(file, 'utf8')
    writeFileSync(file, content.replace('"version": 1', '"version": 2'))
    await assert.rejects(store.read(), /format version 2, this Sluice knows 1/)
    writeFileSync(file, '{"half"')
    await assert.rejects(store.read(), /no store of secrets, or a damaged one/)
  })

  it('rotates the key: every value stays, the old key opens nothing', async t => {
    const { store, file, keyFile } = fresh(t)
    for (let i = 0; i < 5; i++) await store.set(`s${i}`, Buffer.from(`value ${i}`))
    const [oldKey, oldStore] = [readFileSync(keyFile), readFileSync(file)]
    assert.equal(await store.rotateKey(), 5)
    for (let i = 0; i < 5; i++) assert.equal(await text(store, `s${i}`), `value ${i}`)
    assert.notDeepEqual(readFileSync(keyFile), oldKey)
    const newKey = readFileSync(keyFile)
    writeFileSync(keyFile, oldKey)
    await assert.rejects(store.read(), /not the key of/)
    writeFileSync(file, oldStore)
    assert.equal(await text(store, 's1'), 'value 1')
    writeFileSync(keyFile, newKey)
    await assert.rejects(store.read(), /not the key of/)
  })

  it('survives a crash at every moment of a rotation', async t => {
    const { store, file, keyFile } = fresh(t)
    await store.set('a', value)
    const before = { store: readFileSync(file), key: readFileSync(keyFile) }
    await store.rotateKey()
    const after = { store: readFileSync(file), key: readFileSync(keyFile) }
    const next = `${keyFile}.next`
    const put = (storeNow: Buffer, keyNow: Buffer): void => {
      writeFileSync(file, storeNow)
      writeFileSync(keyFile, keyNow)
      writeFileSync(next, after.key, { mode: 0o600 })
    }
    put(before.store, before.key)
    assert.equal(await text(store, 'a'), value.toString(), 'the new key is there, the store is the old one')
    put(after.store, before.key)
    assert.equal(await text(store, 'a'), value.toString(), 'the store is new, the key waits')
    await store.set('b', value)
    assert.deepEqual(readFileSync(keyFile), after.key)
    assert.ok(!existsSync(next))
    put(after.store, before.key)
    await store.rotateKey()
    assert.equal(await text(store, 'a'), value.toString())
  })

  it('loses no write of many at once', async t => {
    const { store, dir } = fresh(t)
    await Promise.all(Array.from({ length: 12 }, (_, i) => store.set(`s${i}`, Buffer.from(String(i)))))
    assert.equal((await store.list()).length, 12)
    assert.deepEqual(readdirSync(dir).sort(), ['secrets.json', 'secrets.key'])
  })

  it('removes', async t => {
    const { store } = fresh(t)
    assert.equal(await store.remove('a'), false)
    await store.set('a', value)
    assert.equal(await store.remove('a'), true)
    assert.equal(await text(store, 'a'), undefined)
  })
})

describe('a lock file', () => {
  it('of a process that is gone does not hold anybody up', async t => {
    const { dir } = fresh(t)
    const lock = join(dir, 'lock')
    const { hostname } = await import('node:os')
    writeFileSync(lock, `${hostname()} 999999999 x`)
    assert.equal(await withLock(lock, async () => 'done'), 'done')
    assert.deepEqual(readdirSync(dir), [])
  })

  it('that another took over is not removed', async t => {
    const { dir } = fresh(t)
    const lock = join(dir, 'lock')
    await withLock(lock, async () => {
      renameSync(lock, `${lock}.old`)
      writeFileSync(lock, 'another')
    })
    assert.equal(readFileSync(lock, 'utf8'), 'another')
  })
})

interface Entries {
  entries: Record<string, Record<string, unknown>>
}
