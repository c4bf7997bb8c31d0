import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { describe, it } from 'node:test'

const TIDY = join(import.meta.dirname, '../../../proxy/cli/tidy-memory.ts')

/** Says `collected` when V8 collects all it can, which it does by itself only when memory runs out. */
const WATCHED = `
  import { constants, PerformanceObserver } from 'node:perf_hooks'
  import { tidyMemory } from ${JSON.stringify(TIDY)}
  new PerformanceObserver(list => {
    for (const { detail } of list.getEntries()) {
      if ((detail.flags & constants.NODE_PERFORMANCE_GC_FLAGS_ALL_AVAILABLE_GARBAGE) !== 0) console.log('collected')
    }
  }).observe({ type: 'gc' })
  tidyMemory()
`

describe('tidying memory after start', () => {
  it('collects everything when the process is idle', () => {
    // V8 goes over the heap again while that still frees something.
    assert.match(outputOf(`${WATCHED} setTimeout(() => process.exit(), 4_500)`), /^(collected\n){1,7}$/)
  })

  it('leaves a busy process alone', () => {
    const busy = 'setInterval(() => { const from = performance.now(); while (performance.now() - from < 20); }, 40)'
    assert.equal(outputOf(`${WATCHED} ${busy}; setTimeout(() => process.exit(), 4_500)`), '')
  })

  it('does not keep a process alive', () => {
    assert.equal(outputOf(WATCHED), '')
  })
})

function outputOf(program: string): string {
  const args = ['--input-type=module', '-e', program]
  const { stdout, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8', timeout: 60_000 })
  assert.equal(stderr, '')
  return stdout
}
