import assert from 'node:assert/strict'
import { mkdtempSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { channels, type Reload } from '../../../proxy/observe/channels.ts'
import { PolicyReloader, type ReloaderOptions } from '../../../proxy/policy/reload.ts'
import { inputOf, interceptor } from './kit.ts'

let dir = ''
let file = ''
let reloader: PolicyReloader
let events: Reload[] = []
let waiting: ((event: Reload) => void) | null = null
const closed: string[] = []

const watch = interceptor('watch', ({ entry }) => ({ end() {}, close: () => void closed.push(entry) }))

function onReload(event: unknown): void {
  events.push(event as Reload)
  waiting?.(event as Reload)
}

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'reload-'))
  file = join(dir, 'policy.yaml')
  events = []
  closed.length = 0
  waiting = null
  channels.reload.subscribe(onReload)
})
afterEach(async () => {
  channels.reload.unsubscribe(onReload)
  await reloader.close()
  rmSync(dir, { recursive: true })
})

async function open(more: Partial<ReloaderOptions> = {}): Promise<void> {
  const input = () => inputOf('', [watch], { inline: [], files: [file] })
  reloader = await PolicyReloader.open({ input, debounceMs: 5, pollMs: 0, ...more })
}

const named = (name: string): string => `interceptors: [{ use: watch, name: ${name} }]\n`
const current = (): readonly string[] => reloader.source.current.entries

/** The next reload after `change`. */
function after(change: () => void): Promise<Reload> {
  const { promise, resolve } = Promise.withResolvers<Reload>()
  waiting = resolve
  change()
  return promise
}

describe('reload', { timeout: 20_000 }, () => {
  it('swaps the table, and closes the old one after its last exchange', async () => {
    writeFileSync(file, named('one'))
    await open()
    const old = reloader.source.current
    old.retain()
    writeFileSync(file, named('two'))
    assert.equal(await reloader.reload(), true)
    assert.deepEqual(current(), ['two'])
    assert.deepEqual([old.generation, reloader.source.current.generation], [1, 2])
    assert.deepEqual(closed, [])
    old.release()
    await reloader.close()
    assert.deepEqual(closed, ['one', 'two'])
    assert.deepEqual(events, [{ what: 'policy', ok: true, generation: 2, text: '' }])
  })

  it('changes nothing when the policy does not compile, and says why', async () => {
    writeFileSync(file, named('one'))
    await open()
    const before = reloader.source.current
    writeFileSync(file, 'interceptors: [wach]\n')
    assert.equal(await reloader.reload(), false)
    assert.equal(reloader.source.current, before)
    const text = `${file}:1:16: interceptors[0]: unknown interceptor "wach", did you mean "watch"?`
    assert.deepEqual(events, [{ what: 'policy', ok: false, generation: 1, text }])
    writeFileSync(file, named('two'))
    assert.equal(await reloader.reload(), true)
    assert.equal(reloader.source.current.generation, 2)
  })

  it('tells when its input cannot be gathered', async () => {
    writeFileSync(file, named('one'))
    let broken = false
    const input = () =>
      broken ? Promise.reject(new Error('no registry')) : inputOf('', [watch], { inline: [], files: [file] })
    await open({ input })
    broken = true
    assert.equal(await reloader.reload(), false)
    assert.equal(events[0]?.text, 'Error: no registry')
  })

  it('runs one at a time: calls that come meanwhile share the next', async () => {
    writeFileSync(file, named('one'))
    await open()
    const results = [reloader.reload(), reloader.reload(), reloader.reload()]
    assert.deepEqual(await Promise.all(results), [true, true, true])
    assert.equal(reloader.source.current.generation, 3)
  })

  it('does nothing any more once closed', async () => {
    writeFileSync(file, named('one'))
    await open()
    await reloader.close()
    assert.equal(await reloader.reload(), false)
    assert.deepEqual(closed, ['one'])
  })

  it('refuses to open on a policy that does not compile', async () => {
    writeFileSync(file, named('one'))
    await open()
    writeFileSync(file, 'version: 3\n')
    await assert.rejects(open(), /version: expected 1, got 3/)
  })
})

describe('watching', { timeout: 20_000 }, () => {
  it('sees a file that is written', async () => {
    writeFileSync(file, named('one'))
    await open()
    reloader.watch()
    assert.equal((await after(() => writeFileSync(file, named('two')))).ok, true)
    assert.deepEqual(current(), ['two'])
  })

  it('sees a file that an editor puts in its place, more than once', async () => {
    writeFileSync(file, named('one'))
    await open()
    reloader.watch()
    for (const name of ['two', 'three']) {
      await after(() => {
        writeFileSync(`${file}~`, named(name))
        renameSync(`${file}~`, file)
      })
      assert.deepEqual(current(), [name])
    }
  })

  it('sees a link that is switched, as mounted config maps are', async () => {
    for (const name of ['one', 'two']) writeFileSync(join(dir, `${name}.yaml`), named(name))
    symlinkSync('one.yaml', file)
    await open()
    reloader.watch()
    await after(() => {
      symlinkSync('two.yaml', `${file}.new`)
      renameSync(`${file}.new`, file)
    })
    assert.deepEqual(current(), ['two'])
  })

  it('sees the repair of a broken include that is new', async () => {
    writeFileSync(file, named('one'))
    await open()
    reloader.watch()
    const part = join(dir, 'part.yaml')
    writeFileSync(part, 'interceptors: [wach]\n')
    assert.equal((await after(() => writeFileSync(file, 'include: part.yaml\n'))).ok, false)
    assert.deepEqual(current(), ['one'])
    assert.equal((await after(() => writeFileSync(part, named('part')))).ok, true)
    assert.deepEqual(current(), ['part'])
  })

  it('sees modules that come into a folder', async () => {
    writeFileSync(file, named('one'))
    await open({ watch: [dir] })
    reloader.watch()
    assert.equal((await after(() => writeFileSync(join(dir, 'mine.ts'), 'export {}'))).ok, true)
    assert.equal(reloader.source.current.generation, 2)
  })

  it('keeps what it has when the file is gone, and takes it when it is back', async () => {
    writeFileSync(file, named('one'))
    await open()
    reloader.watch()
    const gone = await after(() => unlinkSync(file))
    assert.deepEqual([gone.ok, gone.text], [false, `${file}: no such file`])
    assert.deepEqual(current(), ['one'])
    assert.equal((await after(() => writeFileSync(file, named('back')))).ok, true)
    assert.deepEqual(current(), ['back'])
  })

  it('does not act on changes that change nothing', async () => {
    writeFileSync(file, named('one'))
    await open()
    reloader.watch()
    writeFileSync(file, named('one'))
    writeFileSync(join(dir, 'unrelated.txt'), 'x')
    await after(() => writeFileSync(file, named('two')))
    assert.equal(reloader.source.current.generation, 2)
  })

  it('polls where the file system tells nothing', async () => {
    writeFileSync(file, named('one'))
    await open({ debounceMs: 1_000_000, pollMs: 5 })
    reloader.watch()
    assert.equal((await after(() => writeFileSync(file, named('two')))).ok, true)
  })
})
