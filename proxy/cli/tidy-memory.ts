import { performance } from 'node:perf_hooks'
import { getHeapStatistics, setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

const LOOK_EACH_MS = 1_000
/** A process that is busy from its first minute on collects its garbage anyway. */
const MAX_LOOKS = 60
/** Part of the last second in which the process had something to do. */
const IDLE_BELOW = 0.02
/** It takes about 2 ms a megabyte. */
const MAX_HEAP_BYTES = 64 * 1024 * 1024

/**
 * Gives back what starting took, once, in the first quiet second: 16 MB, mostly garbage of loading modules, that V8 would keep
 * until there is load. It stops the process for about 50 ms.
 */
export function tidyMemory(): void {
  let looks = 0
  let before = performance.eventLoopUtilization()
  const timer = setInterval(() => {
    const now = performance.eventLoopUtilization()
    const { utilization } = performance.eventLoopUtilization(now, before)
    before = now
    looks++
    const isIdle = utilization < IDLE_BELOW
    if (isIdle || looks === MAX_LOOKS) clearInterval(timer)
    if (isIdle && getHeapStatistics().used_heap_size < MAX_HEAP_BYTES) collectAll()
  }, LOOK_EACH_MS)
  timer.unref()
}

/** Without the flag, V8 has no name for it; a context made under it does. */
function collectAll(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as typeof globalThis.gc
  setFlagsFromString('--no-expose-gc')
  collect?.({ type: 'major', execution: 'sync', flavor: 'last-resort' })
}
