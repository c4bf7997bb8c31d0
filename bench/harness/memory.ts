import { readdirSync, readFileSync } from 'node:fs'

/** Resident memory of these processes together. */
export function rssBytes(pids: readonly number[]): number {
  let kib = 0
  for (const pid of pids) {
    try {
      kib += Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1] ?? 0)
    } catch {
      // It ended meanwhile.
    }
  }
  return kib * 1024
}

/** How many files, sockets and pipes these processes have open together. */
export function openFiles(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => {
    try {
      return sum + readdirSync(`/proc/${pid}/fd`).length
    } catch {
      return sum
    }
  }, 0)
}
