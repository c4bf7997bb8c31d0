import assert from 'node:assert/strict'
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { after, describe, test } from 'node:test'
import fc from 'fast-check'
import { FileTarget } from '../../interceptors/audit/file-target.ts'
import { LineFile } from '../../interceptors/audit/line-file.ts'
import { shareFile } from '../../interceptors/audit/open-files.ts'
import { type RotationOptions, rotatedFiles } from '../../interceptors/audit/rotation.ts'
import type { Verifier } from '../../interceptors/audit/verify.ts'
import { verifyFiles } from '../../interceptors/audit/verify-files.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-chain-'))
after(() => rmSync(folder, { recursive: true }))
const KEY = 'sixteen characters and more'
let files = 0
let now = Date.UTC(2026, 10, 21, 23, 59, 0)

interface Given {
  path?: string
  key?: string
  rotation?: RotationOptions
}

const fresh = (): string => join(folder, `audit-${files++}.log`)
const troubles: string[] = []
const onTrouble = (text: string): void => void troubles.push(text)
const lineOptions = { maxBytes: 16e6, onFull: 'drop', lostLine: (n: number) => `{"lost":${n}}\n`, onTrouble } as const

function targetOf({ path = fresh(), key = '', rotation }: Given): ConstructorParameters<typeof FileTarget>[0] {
  return { path, chainKey: key, rotation: rotation ?? null, now: () => now, onTrouble }
}

function open(given: Given = {}): { path: string; file: LineFile } {
  const target = targetOf(given)
  return { path: target.path, file: new LineFile(new FileTarget(target), lineOptions) }
}

/** A file of one process: so many lines after the marker. */
async function written(count: number, given: Given = {}): Promise<string> {
  const { path, file } = open(given)
  for (let i = 0; i < count; i++) file.write(`{"event":"x","n":${i},"text":"grüße"}\n`)
  await file.close()
  return path
}

async function verify(paths: string | string[], keys: string[] = []): Promise<Verifier> {
  return verifyFiles([paths].flat(), { keys, rotated: true })
}

async function texts(paths: string | string[], keys: string[] = []): Promise<string[]> {
  return (await verify(paths, keys)).problems.map(one => `${basename(one.file)}:${one.line}: ${one.text}`)
}

async function sound(paths: string | string[], keys: string[] = []): Promise<Verifier> {
  const verifier = await verify(paths, keys)
  assert.deepEqual(verifier.problems, [])
  return verifier
}

const linesOf = (path: string): string[] => readFileSync(path, 'utf8').split('\n').slice(0, -1)

/** Every sound file, changed in one way, and whether that is found. */
async function found(path: string, change: (bytes: Buffer) => Buffer, keys: string[] = []): Promise<boolean> {
  const copy = fresh()
  writeFileSync(copy, change(readFileSync(path)))
  copyFileSync(`${path}.head`, `${copy}.head`)
  const verifier = await verify(copy, keys)
  rmSync(copy)
  rmSync(`${copy}.head`)
  return verifier.problemCount > 0
}

const joined = (lines: readonly string[]): Buffer => Buffer.from(lines.map(line => `${line}\n`).join(''))
const split = (bytes: Buffer): string[] => bytes.toString().split('\n').slice(0, -1)

describe('a chained file', () => {
  test('is sound, with and without a key, and its lines stay JSON with their text first', async () => {
    const path = await written(3)
    const lines = linesOf(path)
    assert.match(String(lines[1]), /^\{"event":"x","n":0,"text":"grüße","seq":2,"hash":"[0-9a-f]{64}"\}$/)
    for (const line of lines) JSON.parse(line)
    assert.equal((await sound(path)).lines, 4)
    const keyed = await written(3, { key: KEY })
    await sound(keyed, ['another key, not used', KEY])
    assert.equal((await verify(keyed)).problemCount > 0, true)
    assert.equal((await verify(keyed, ['a wrong key, and long'])).problemCount > 0, true)
    assert.equal((await verify(path, [KEY])).problemCount > 0, true)
  })

  for (const key of ['', KEY]) {
    const keys = key === '' ? [] : [key]
    test(`any changed byte is found${key && ', with a key'}`, async () => {
      const path = await written(12, { key })
      const size = readFileSync(path).length
      const at = fc.integer({ min: 0, max: size - 1 })
      await fc.assert(
        fc.asyncProperty(at, fc.integer({ min: 1, max: 255 }), async (index, flip) => {
          const change = (bytes: Buffer): Buffer => {
            bytes[index] = (bytes[index] as number) ^ flip
            return bytes
          }
          assert.ok(await found(path, change, keys))
        }),
        { numRuns: 300 },
      )
    })

    test(`any line that is gone, doubled, moved or new is found${key && ', with a key'}`, async () => {
      const path = await written(12, { key })
      const index = fc.integer({ min: 0, max: 12 })
      await fc.assert(
        fc.asyncProperty(index, index, async (one, other) => {
          const edit = (change: (lines: string[]) => void) => (bytes: Buffer) => {
            const lines = split(bytes)
            change(lines)
            return joined(lines)
          }
          const line = (lines: string[]): string => lines[one] as string
          assert.ok(
            await found(
              path,
              edit(lines => void lines.splice(one, 1)),
              keys,
            ),
            'gone',
          )
          assert.ok(
            await found(
              path,
              edit(lines => void lines.splice(one)),
              keys,
            ),
            'cut',
          )
          assert.ok(
            await found(
              path,
              edit(lines => void lines.splice(other, 0, line(lines))),
              keys,
            ),
            'doubled',
          )
          assert.ok(
            await found(
              path,
              edit(lines => void lines.splice(other, 0, '{"event":"x"}')),
              keys,
            ),
            'new',
          )
          if (one === other) return
          const swap = edit(lines => {
            const kept = line(lines)
            lines[one] = lines[other] as string
            lines[other] = kept
          })
          assert.ok(await found(path, swap, keys), 'moved')
        }),
        { numRuns: 60 },
      )
    })
  }

  test('any changed byte of its head file is found', async () => {
    const path = await written(3)
    const head = readFileSync(`${path}.head`)
    for (let index = 0; index < head.length; index++) {
      const changed = Buffer.from(head)
      changed[index] = (changed[index] as number) ^ 1
      writeFileSync(`${path}.head`, changed)
      const { problemCount, notes } = await verify(path)
      // A digit of seq that went down, or of the chain's name, leaves a head that says less, or of another chain.
      assert.ok(problemCount > 0 || notes.length > 0, `byte ${index}`)
    }
  })

  test('problems name the line and its place, and only those', async () => {
    const path = await written(8)
    const lines = linesOf(path)
    const name = basename(path)
    const after = async (change: (lines: string[]) => void): Promise<string[]> => {
      const copy = [...lines]
      change(copy)
      writeFileSync(path, joined(copy))
      return texts(path)
    }
    const changed = `${name}:4: the line, or the hash of the line before it, was changed`
    assert.deepEqual(await after(all => void (all[3] = (all[3] as string).replace('"x"', '"y"'))), [changed])
    const missing = (seq: string, line: number): string =>
      `${name}:${line}: lines are missing, or this one was changed or moved: seq ${seq} should come first`
    assert.deepEqual(await after(all => void all.splice(3, 1)), [missing('4', 4)])
    assert.deepEqual(await after(all => void all.splice(3, 2)), [missing('4 to 5', 4)])
    assert.deepEqual(await after(all => void all.splice(3, 0, all[2] as string)), [
      `${name}:4: the line is a copy or out of order: expected seq 4`,
    ])
    assert.deepEqual(await after(all => void all.splice(3, 0, 'hello')), [
      `${name}:4: the line has no place in the chain: it was inserted or damaged`,
    ])
    assert.deepEqual(await after(all => void all.splice(6)), [
      `${name}.head:0: the chain should go on to seq 9, but ends at 6: lines are missing at the end`,
    ])
  })
})

describe('a chain goes on', () => {
  test('after a restart', async () => {
    const path = await written(3)
    await written(2, { path })
    const lines = linesOf(path)
    assert.equal(lines.length, 7)
    assert.match(String(lines[4]), /"reason":"restarted"/)
    await sound(path)
  })

  test('after a restart without its head file', async () => {
    const path = await written(3)
    rmSync(`${path}.head`)
    await written(2, { path })
    await sound(path)
  })

  test('after a line that was cut off, and says so', async () => {
    const path = await written(3)
    const whole = readFileSync(path)
    for (const cut of [1, 30, 100]) {
      writeFileSync(path, whole)
      const last = (linesOf(path)[3] as string).length
      truncateSync(path, whole.length - Math.min(cut, last))
      writeFileSync(`${path}.head`, '')
      rmSync(`${path}.head`)
      await written(2, { path })
      const verifier = await sound(path)
      assert.equal(verifier.notes.length, cut === 1 ? 0 : 1)
      const [torn] = linesOf(path).flatMap((line, at) => (line.endsWith('}') ? [] : [at]))
      if (torn === undefined) continue
      assert.ok(await found(path, bytes => joined(split(bytes).toSpliced(torn, 1))))
      assert.ok(await found(path, bytes => joined(split(bytes).with(torn, '{"timestamp"'))))
    }
  })

  test('lines that went while the process was down stay missed', async () => {
    const path = await written(5)
    writeFileSync(path, joined(linesOf(path).slice(0, 3)))
    await written(2, { path })
    assert.deepEqual(await texts(path), [
      `${basename(path)}:4: lines with seq 4 to 6 were gone when the file was opened here`,
    ])
  })

  test('a file that is gone leaves a chain that begins late', async () => {
    const path = await written(5)
    rmSync(path)
    await written(2, { path })
    assert.match((await sound(path)).notes.join(), /begins at seq 7: earlier files were not given/)
  })

  test('behind lines that were not chained', async () => {
    const path = fresh()
    writeFileSync(path, '{"old":1}\n{"old":2}\n')
    await written(2, { path })
    assert.match((await sound(path)).notes.join(), /2 lines before line 3 are not chained/)
    assert.ok(await found(path, bytes => joined(split(bytes).slice(1))))
    assert.ok(await found(path, bytes => joined(['{}', ...split(bytes)])))
  })

  test('two that open one file in this process share it', async () => {
    const target = targetOf({})
    const one = shareFile(target, lineOptions)
    const other = shareFile({ ...target, rotation: { maxBytes: 1e6, everyMs: 0, keep: 0 } }, lineOptions)
    for (let i = 0; i < 100; i++) (i % 2 === 0 ? one : other).write(`{"n":${i}}\n`)
    await one.close()
    other.write('{"n":100}\n')
    const third = shareFile(target, lineOptions)
    const closing = other.close()
    third.write('{"n":101}\n')
    await Promise.all([closing, third.close()])
    const again = shareFile(target, lineOptions)
    again.write('{"n":102}\n')
    await again.close()
    await sound(target.path)
    const numbers = linesOf(target.path).flatMap(line => (line.startsWith('{"n"') ? [JSON.parse(line).n] : []))
    assert.deepEqual(
      numbers,
      Array.from({ length: 103 }, (_, i) => i),
    )
  })
})

describe('rotation', () => {
  const every = (rotation: Partial<RotationOptions>): RotationOptions => ({
    maxBytes: 0,
    everyMs: 0,
    keep: 0,
    ...rotation,
  })

  test('by size: no line is lost or split, and all files are one chain', async () => {
    const { path, file } = open({ rotation: every({ maxBytes: 200_000 }) })
    for (let i = 0; i < 4000; i++) file.write(`{"n":${i},"fill":"${'x'.repeat((i * 7919) % 700)}"}\n`)
    await file.close()
    const all = [...rotatedFiles(path), path]
    assert.ok(all.length > 5)
    for (const one of all) assert.ok(readFileSync(one).length <= 200_000)
    const numbers = all.flatMap(linesOf).flatMap(line => (line.startsWith('{"n"') ? [JSON.parse(line).n] : []))
    assert.deepEqual(
      numbers,
      Array.from({ length: 4000 }, (_, i) => i),
    )
    await sound(path)
    rmSync(all[2] as string)
    assert.match((await texts(path)).join(), /lines are missing/)
  })

  test('by time, at midnight in UTC, and keeps so many', async () => {
    const rotation = every({ everyMs: 86_400_000, keep: 2 })
    const { path, file } = open({ rotation })
    for (let day = 0; day < 5; day++) {
      file.write(`{"day":${day}}\n`)
      file.flushSync(1000)
      now += 30_000
      file.write(`{"day":${day},"late":true}\n`)
      file.flushSync(1000)
      now += 86_370_000
    }
    await file.close()
    assert.equal(rotatedFiles(path).length, 2)
    const { notes } = await sound(path)
    assert.match(notes.join(), /earlier files were not given/)
    assert.equal(readdirSync(folder).filter(name => name.startsWith(basename(path, '.log'))).length, 4)
  })

  test('by somebody else is followed', async () => {
    const { path, file } = open()
    file.write('{"n":1}\n')
    file.flushSync(1000)
    renameSync(path, `${path}.1`)
    file.write('{"n":2}\n')
    await file.drain()
    copyFileSync(path, `${path}.2`)
    truncateSync(path)
    file.write('{"n":3}\n')
    await file.close()
    assert.match(readFileSync(path, 'utf8'), /"reason":"continued"/)
    await sound([path, `${path}.1`, `${path}.2`])
    assert.match((await texts([path, `${path}.1`])).join(), /lines are missing/)
  })

  test('that fails is told of, and lines go on', async () => {
    const { path, file } = open({ rotation: every({ maxBytes: 65_536 }) })
    const line = `{"fill":"${'x'.repeat(30_000)}"}\n`
    file.write(line)
    file.write(line)
    file.flushSync(1000)
    rmSync(path)
    file.write(line)
    file.flushSync(1000)
    await file.close()
    assert.ok(troubles.includes('the audit file cannot be rotated: lines go on into the old one'))
    assert.ok(existsSync(path))
    assert.match((await texts(path)).join('\n'), /^$/)
  })

  test('a second process that writes into the file is found', async () => {
    const { path, file } = open()
    file.write('{"n":1}\n')
    file.flushSync(1000)
    appendFileSync(
      path,
      linesOf(path)
        .map(line => `${line}\n`)
        .join(''),
    )
    await file.close()
    assert.ok((await verify(path)).problemCount > 0)
  })
})
