import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../../proxy/base/clock.ts'
import { readValue } from '../../../proxy/cli/secret/read-value.ts'
import { SecretStore } from '../../../proxy/credentials/store/secret-store.ts'

const SLUICE = fileURLToPath(new URL('../../../proxy/cli/sluice.ts', import.meta.url))

interface Ran {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

function folder(t: TestContext): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-secret-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}

async function run(dir: string, args: readonly string[], input: string | Buffer = ''): Promise<Ran> {
  const child = spawn(process.execPath, [SLUICE, 'secret', ...args], {
    cwd: dir,
    env: { PATH: process.env.PATH, HOME: dir },
  })
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, out: Buffer.concat(out).toString(), err: Buffer.concat(err).toString() }
}

describe('sluice secret', () => {
  it('keeps, lists, rotates and removes; no value is ever printed', async t => {
    const dir = folder(t)
    // The rest of the file needs what is not there yet: that must not matter.
    writeFileSync(
      join(dir, 'sluice.yaml'),
      'state_dir: state\nservers: { s: { url: "${NOT_SET}" } }\ncredentials: { store_file: kept.json, s: { api_token: secret:a } }\n',
    )
    const set = await run(dir, ['set', 'a'], 'planted-value\r\n')
    assert.deepEqual([set.code, set.out], [0, ''])
    assert.match(set.err, /^"a" is kept in .*kept\.json \(version 1\); use it as secret:a\n$/)
    assert.equal((await run(dir, ['set', 'bin/b', '--raw'], Buffer.from([1, 0, 10]))).code, 0)
    const listed = await run(dir, ['ls'])
    assert.match(listed.out, /^NAME {3}VERSION {2}UPDATED\na {6}1 {8}\d{4}-.*\nbin\/b {2}1 {8}\d{4}-.*\n$/)
    assert.deepEqual(
      JSON.parse((await run(dir, ['ls', '--json'])).out).map(({ name }: { name: string }) => name),
      ['a', 'bin/b'],
    )
    const keyFile = join(dir, 'state', 'secrets.key')
    const before = readFileSync(keyFile, 'utf8')
    const rotated = await run(dir, ['rotate-key'])
    assert.match(rotated.err, /secrets\.key is new; 2 secrets encrypted anew/)
    assert.notEqual(readFileSync(keyFile, 'utf8'), before)
    const store = new SecretStore({ file: join(dir, 'kept.json'), keyFile, clock: systemClock })
    const snapshot = await store.read()
    assert.equal(snapshot.get('a')?.toString(), 'planted-value')
    assert.deepEqual(snapshot.get('bin/b'), Buffer.from([1, 0, 10]))
    const removed = await run(dir, ['rm', 'a', 'nothing'])
    assert.deepEqual(
      [removed.code, removed.err],
      [1, `"a" is removed\nno secret "nothing" in ${join(dir, 'kept.json')}\n`],
    )
    for (const { out, err } of [set, listed, rotated, removed]) assert.doesNotMatch(out + err, /planted/)
  })

  const wrong: [args: string[], input: string, text: RegExp, config?: string][] = [
    [['set', 'a'], '', /an empty value: nothing was set/],
    [['set', '../a'], 'x', /name "\.\.\/a": expected letters/],
    [['set', 'token/a'], 'x', /are for tokens that the proxy renews itself/],
    [['set', 'a', 'value'], 'x', /too many arguments/],
    [['set', 'a'], 'x', /credentials\.encryption\.enabled is false/, 'credentials: { encryption: { enabled: false } }'],
    [['set', 'a'], 'x', /NOPE is not set/, 'credentials: { encryption: { key_file: "${NOPE}/key" } }'],
    [['set', 'a', '-c', 'none.yaml'], 'x', /no such file/],
  ]
  for (const [args, input, text, config] of wrong) {
    it(`${args.join(' ')}${config === undefined ? '' : ` with ${config}`}: ${text.source}`, async t => {
      const dir = folder(t)
      if (config !== undefined) writeFileSync(join(dir, 'sluice.yaml'), config)
      const { code, err, out } = await run(dir, args, input)
      assert.deepEqual([code, out], [2, ''])
      assert.match(err, text)
    })
  }

  it('says which key is wanted when it has another one', async t => {
    const dir = folder(t)
    const flags = ['--store', 'store.json', '--key-file', 'key']
    await run(dir, ['set', 'a', ...flags], 'x')
    writeFileSync(join(dir, 'key'), Buffer.alloc(32, 1).toString('base64'))
    const { code, err } = await run(dir, ['set', 'a', ...flags], 'x')
    assert.equal(code, 1)
    assert.match(err, /^sluice: .*key: not the key of .*store\.json \(this is key [0-9a-f]{16}, the store needs/)
  })

  it('uses the state folder where nothing else is said', async t => {
    const dir = folder(t)
    mkdirSync(join(dir, 'elsewhere'))
    assert.equal((await run(join(dir, 'elsewhere'), ['set', 'a'], 'x')).code, 0)
    assert.ok(!existsSync(join(dir, 'elsewhere', 'sluice.yaml')))
  })
})

describe('a value asked for at a terminal', () => {
  class Terminal extends PassThrough {
    readonly isTTY = true
    raw: boolean[] = []
    setRawMode(on: boolean): this {
      this.raw.push(on)
      return this
    }
  }

  async function type(...keys: string[]): Promise<{ value: string; shown: string; raw: boolean[] }> {
    const terminal = new Terminal()
    let shown = ''
    const screen = { write: (text: string) => (shown += text).length > 0 }
    const asked = readValue('Value: ', terminal as never, screen as never)
    for (const key of keys) terminal.write(key)
    try {
      return { value: (await asked).toString(), shown, raw: terminal.raw }
    } catch (error) {
      return { value: String(error), shown, raw: terminal.raw }
    }
  }

  const cases: [what: string, keys: string[], value: string][] = [
    ['what was typed', ['s', 'e', 'c', '\r'], 'sec'],
    ['what was pasted, up to its end', ['päste €\r\nmore'], 'päste €'],
    ['without what was taken back', ['sx\u007fec\b', 'c\n'], 'sec'],
    ['from anew after Ctrl-U', ['wrong\u0015right\r'], 'right'],
    ['nothing after Ctrl-C', ['half\u0003'], 'UsageError: nothing was set'],
  ]
  for (const [what, keys, value] of cases) {
    it(`is ${what}, and is not shown`, async () => {
      const typed = await type(...keys)
      assert.deepEqual(typed, { value, shown: 'Value: \n', raw: [true, false] })
    })
  }
})
