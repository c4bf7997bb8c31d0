import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { it } from 'node:test'

const MODULE = join(import.meta.dirname, '../../../proxy/cli/start-memory.ts')

/** Makes what stays, as modules do when they are loaded, and says how large the room for new objects became. */
const PROGRAM = `
  import { getHeapSpaceStatistics } from 'node:v8'
  import { beginSmall, mayGrow } from ${JSON.stringify(MODULE)}
  const kept = []
  function sizeAfter() {
    for (let i = 0; i < 300_000; i++) kept.push({ i, text: 'kept ' + i })
    return getHeapSpaceStatistics().find(space => space.space_name === 'new_space').space_size
  }
  beginSmall()
  const small = sizeAfter()
  mayGrow()
  console.log(JSON.stringify({ small, large: sizeAfter() }))
`

it('the room for new objects stays small while a process starts, and grows afterwards', () => {
  const args = ['--input-type=module', '-e', PROGRAM]
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 })
  assert.equal(stderr, '')
  const { small, large } = JSON.parse(stdout) as { small: number; large: number }
  assert.ok(small <= 3 * 1024 * 1024, `${small} bytes`)
  assert.ok(large >= 4 * small, `${large} bytes, after ${small}`)
})

/** Makes things that live until they are old and are then forgotten, so that V8 goes over everything again and again. */
const AGING = `
  import { mayGrow } from ${JSON.stringify(MODULE)}
  mayGrow()
  const ring = new Array(500_000)
  for (let i = 0; i < 10_000_000; i++) ring[i % ring.length] = { i, next: [i] }
  console.log(ring.length)
`

it('what is old doubles before V8 goes over all of it', () => {
  // Without helpers: they would come to an end sooner or later, as the machine has time.
  const alone = ['--no-incremental-marking', '--single-threaded-gc']
  const args = ['--trace-gc', ...alone, '--input-type=module', '-e', AGING]
  const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 })
  const collections = [...stdout.matchAll(/Mark-Compact[^0-9]*([\d.]+) \([\d.]+\) -> ([\d.]+) /g)]
  const sizes = collections.map(([, before, after]) => ({ before: Number(before), after: Number(after) }))
  const ratios = sizes.slice(1).map(({ before }, index) => before / (sizes[index]?.after ?? 0))
  assert.ok(ratios.length >= 3, stdout)
  const text = ratios.map(one => one.toFixed(2)).join(', ')
  for (const ratio of ratios) assert.ok(ratio > 1.8 && ratio < 2.6, text)
})
