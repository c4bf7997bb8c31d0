import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

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

/** How many sockets these processes have open together. */
export function openSockets(pids: readonly number[]): number {
  return pids.flatMap(socketsOf).length
}

function socketsOf(pid: number): string[] {
  const dir = `/proc/${pid}/fd`
  try {
    return readdirSync(dir).filter(fd => isSocket(`${dir}/${fd}`))
  } catch {
    return []
  }
}

function isSocket(link: string): boolean {
  try {
    return readlinkSync(link).startsWith('socket:')
  } catch {
    return false
  }
}
