import { readdirSync } from 'node:fs'
import { monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { FamilySnapshot } from './exposition.ts'

/** How often the event loop is asked whether it is late, in milliseconds: 50 wake-ups a second. */
const LAG_RESOLUTION_MS = 20

/** The metrics of the process itself, under the names that Prometheus dashboards know. Read only when asked. */
export class ProcessMetrics {
  #lag: ReturnType<typeof monitorEventLoopDelay> | null = null

  start(): void {
    this.#lag ??= monitorEventLoopDelay({ resolution: LAG_RESOLUTION_MS })
    this.#lag.enable()
  }

  stop(): void {
    this.#lag?.disable()
    this.#lag = null
  }

  /** The lag figures are those since the last call. */
  snapshot(): FamilySnapshot[] {
    const cpu = process.cpuUsage()
    const memory = process.memoryUsage()
    const loop = performance.eventLoopUtilization()
    const families = [
      counter('process_cpu_seconds_total', 'User and system CPU time.', (cpu.user + cpu.system) / 1e6),
      gauge('process_resident_memory_bytes', 'Resident memory.', memory.rss),
      gauge('process_start_time_seconds', 'Start, in seconds since the epoch.', performance.timeOrigin / 1000),
      gauge('nodejs_heap_size_total_bytes', 'Size of the JavaScript heap.', memory.heapTotal),
      gauge('nodejs_heap_size_used_bytes', 'Used part of the JavaScript heap.', memory.heapUsed),
      gauge('nodejs_external_memory_bytes', 'Memory of buffers and other things outside the heap.', memory.external),
      counter('nodejs_eventloop_active_seconds_total', 'Time the event loop was busy.', loop.active / 1000),
      ...this.#lagFamilies(),
    ]
    const open = openDescriptors()
    if (open >= 0) families.push(gauge('process_open_fds', 'Open file descriptors.', open))
    return families
  }

  #lagFamilies(): FamilySnapshot[] {
    const lag = this.#lag
    if (lag === null || lag.count === 0) return []
    const families = [
      gauge('nodejs_eventloop_lag_seconds', 'How late the event loop was, mean since the last scrape.', late(lag.mean)),
      gauge('nodejs_eventloop_lag_p99_seconds', 'The same, 99th percentile.', late(lag.percentile(99))),
      gauge('nodejs_eventloop_lag_max_seconds', 'The same, worst case.', late(lag.max)),
    ]
    lag.reset()
    return families
  }
}

/** Node measures the whole interval; the part that was asked for is not lag. */
function late(nanoseconds: number): number {
  return Math.max(0, nanoseconds / 1e9 - LAG_RESOLUTION_MS / 1000)
}

/** -1 where the system does not tell. */
function openDescriptors(): number {
  try {
    return readdirSync('/proc/self/fd').length - 1
  } catch {
    return -1
  }
}

function counter(name: string, help: string, value: number): FamilySnapshot {
  return { name, help, type: 'counter', merge: 'each', series: [{ labels: '', value, counts: null }] }
}

function gauge(name: string, help: string, value: number): FamilySnapshot {
  return { name, help, type: 'gauge', merge: 'each', series: [{ labels: '', value, counts: null }] }
}
