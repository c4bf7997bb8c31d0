import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { probe } from '#testing'
import { checkVersion, findBinary } from '../../interceptors/jq/binary.ts'
import jq from '../../interceptors/jq/jq.ts'

const folder = mkdtempSync(join(tmpdir(), 'sluice-jq-'))
after(() => rmSync(folder, { recursive: true }))

/** A program in place of jq. */
function fake(name: string, script: string): string {
  mkdirSync(join(folder, name))
  const path = join(folder, name, 'jq')
  writeFileSync(path, `#!/bin/sh\n${script}\n`)
  chmodSync(path, 0o755)
  return path
}

/** Runs with another JQ_PATH. */
async function withPath(path: string, run: () => Promise<void>): Promise<void> {
  const before = process.env['JQ_PATH']
  process.env['JQ_PATH'] = path
  try {
    await run()
  } finally {
    if (before === undefined) delete process.env['JQ_PATH']
    else process.env['JQ_PATH'] = before
  }
}

describe('the jq that is used', () => {
  const path = fake('some', 'echo jq-1.7.1')

  it('is the one JQ_PATH names, and no other', () => {
    assert.equal(findBinary({ JQ_PATH: path, PATH: '/usr/bin' }), path)
    assert.throws(
      () => findBinary({ JQ_PATH: join(folder, 'none'), PATH: '/usr/bin' }),
      /JQ_PATH is .*no file that can be/,
    )
    assert.throws(() => findBinary({ JQ_PATH: folder }), /no file that can be executed/)
  })

  it('is found on PATH, in absolute folders only', t => {
    // Where node-jq has brought one, that goes first.
    const bundled = bundledHere()
    if (bundled !== null) return t.skip(`node-jq brings ${bundled}`)
    assert.equal(findBinary({ PATH: `.:${join(folder, 'none')}:${join(folder, 'some')}` }), path)
    assert.throws(() => findBinary({ PATH: 'some:.' }), /there is no jq: .*install jq 1\.6 or newer .*set JQ_PATH/)
    assert.throws(() => findBinary({}), /there is no jq/)
  })

  it('is new enough', () => {
    for (const said of ['jq-1.6', 'jq-1.6-dirty\n', 'jq-1.7.1', 'jq-1.10', 'jq-2.0', 'jq-master-v20'])
      checkVersion('jq', said)
    assert.throws(() => checkVersion('/x/jq', 'jq-1.5'), /\/x\/jq is jq-1\.5; filters need jq 1\.6 or newer/)
    assert.throws(() => checkVersion('/x/jq', 'gojq 0.12'), /\/x\/jq is no jq: .*"gojq 0\.12"/)
    assert.throws(() => checkVersion('/x/jq', ''), /says ""/)
  })
})

describe('trouble with jq at load', () => {
  it('is told where the binary is not there, or another one', async () => {
    const options = { filter: '.' }
    await withPath(join(folder, 'gone'), () => assert.rejects(probe(jq, { options }), /JQ_PATH is /))
    await withPath(fake('other', 'echo hello'), () => assert.rejects(probe(jq, { options }), /is no jq: .*"hello"/))
  })

  it('is told where it compiles but does not answer', async () => {
    const script = 'case "$*" in *unbuffered*) exit 3;; *version*) echo jq-1.6;; esac'
    const path = fake('mute', script)
    await withPath(path, () => assert.rejects(probe(jq, { options: { filter: '.' } }), /jq ended with code 3/))
    const chatty = fake('chatty', 'case "$*" in *unbuffered*) echo hi; cat;; *version*) echo jq-1.6;; esac')
    await withPath(chatty, () =>
      assert.rejects(probe(jq, { options: { filter: '.' } }), /does not speak as expected|nobody asked/),
    )
  })
})

function bundledHere(): string | null {
  try {
    return findBinary({})
  } catch {
    return null
  }
}
