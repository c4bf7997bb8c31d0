import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { it } from 'node:test'
import { holdStreams, mayGrow } from '../../../proxy/cli/start-memory.ts'

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

/** When V8 goes over the heap is its own affair; what it is told, and that it knows these words, is ours. */
it('the heap grows by half before V8 goes over all of it, and to twice its size while there are many streams', () => {
  const told: string[] = []
  const set = (flag: string): void => void told.push(flag)
  mayGrow(set)
  holdStreams(true, set)
  holdStreams(false, set)
  const all = '--heap-growing-percent='
  assert.deepEqual(told, ['--semi-space-growth-factor=2', `${all}50`, `${all}100`, `${all}50`])
  const { stdout } = spawnSync(process.execPath, ['--v8-options'], { encoding: 'utf8', timeout: 60_000 })
  for (const flag of told) assert.ok(stdout.includes(`${flag.split('=')[0]} (`), flag)
})

it('a growth that Node was started with stays as it is', () => {
  const program = `
    import { holdStreams, mayGrow } from ${JSON.stringify(MODULE)}
    const set = flag => console.log(flag)
    mayGrow(set)
    holdStreams(true, set)
  `
  for (const flag of ['--heap-growing-percent=30', '--heap_growing_percent=30']) {
    const args = [flag, '--input-type=module', '-e', program]
    const { stdout } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 })
    assert.equal(stdout, '--semi-space-growth-factor=2\n')
  }
})
