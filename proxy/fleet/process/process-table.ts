import { readdir, readFile, readlink } from 'node:fs/promises'
import type { Usage } from '../launcher.ts'

/** Ticks a second in /proc/PID/stat: 100 on every platform that Node runs on. */
const TICKS_PER_SECOND = 100
/** Most processes of one replica that are looked at. */
const MAX_PROCESSES = 1024

/** One row of /proc. Linux only: elsewhere there are none. */
interface ProcessRow {
  readonly parent: number
  readonly session: number
  /** Ticks since the machine started: with the pid it names a process for good. */
  readonly startTicks: number
  readonly cpuTicks: number
}

/** Which process this is: a pid alone is given again, also after the machine has started anew. */
export interface ProcessName {
  readonly pid: number
  readonly startTicks: number
  readonly bootId: string
  /** Of its pid namespace; pids of another one say nothing here. */
  readonly namespace: string
}

/** @returns `null` = there is none, or the system does not tell */
export async function nameProcess(pid: number): Promise<ProcessName | null> {
  const [row, bootId, namespace] = await Promise.all([
    readRow(pid),
    read('/proc/sys/kernel/random/boot_id'),
    ownNamespace(),
  ])
  return row === null ? null : { pid, startTicks: row.startTicks, bootId: bootId.trim(), namespace }
}

/** Ticks at which a process started; `null` = it does not run, or the system does not tell. */
export async function startOf(pid: number): Promise<number | null> {
  return (await readRow(pid))?.startTicks ?? null
}

/** Whether the named process still runs: `unknown` = it was named in another pid namespace, where nobody here can look. */
export async function isAlive(name: ProcessName): Promise<boolean | 'unknown'> {
  const now = await nameProcess(process.pid)
  if (now === null) return 'unknown'
  if (now.bootId !== name.bootId) return false
  if (now.namespace !== name.namespace) return 'unknown'
  return (await readRow(name.pid))?.startTicks === name.startTicks
}

/** What to look for: processes of the session that `leader` began, and orphans, that have `mark` in their environment. */
export interface Remains {
  /** 0 = of any session. */
  readonly leader: number
  /** `NAME=value`, as it stands in the environment. */
  readonly mark: string
}

/**
 * Kills what ended replicas left behind. Only processes that carry the mark are touched, so a pid that was given again is
 * safe. One look through /proc at a time: what is asked meanwhile shares the next.
 */
export class Sweeper {
  #waiting: Remains[] = []
  #running: Promise<number> = Promise.resolve(0)
  #next: Promise<number> | null = null

  /** Resolves when they are killed, to how many were found by this look. */
  sweep(remains: Remains): Promise<number> {
    this.#waiting.push(remains)
    this.#next ??= this.#running.then(() => {
      this.#next = null
      this.#running = killAll(this.#waiting.splice(0))
      return this.#running
    })
    return this.#next
  }
}

async function killAll(remains: readonly Remains[]): Promise<number> {
  let killed = 0
  for (const pid of await processIds()) {
    if (pid !== process.pid && (await belongs(pid, remains)) && kill(pid)) killed++
  }
  return killed
}

async function belongs(pid: number, remains: readonly Remains[]): Promise<boolean> {
  const row = await readRow(pid)
  if (row === null) return false
  const suspects = row.parent === 1 ? remains : remains.filter(one => one.leader === 0 || one.leader === row.session)
  if (suspects.length === 0) return false
  // The environment of other people's processes cannot be read, which is as good as not marked.
  const environment = (await read(`/proc/${pid}/environ`)).split('\0')
  return suspects.some(one => environment.includes(one.mark))
}

/** Sends a signal to a process group; one that is gone is what was wanted. @returns whether there was one */
export function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    return process.kill(-pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false
    throw error
  }
}

/** Memory and processor time of a process and its descendants; `null` where the system does not tell. */
export async function usageOf(pid: number): Promise<Usage | null> {
  let memoryBytes = 0
  let cpuTicks = 0
  const queue = [pid]
  for (let i = 0; i < queue.length && i < MAX_PROCESSES; i++) {
    const next = queue[i] as number
    const [row, resident, children] = await Promise.all([readRow(next), residentBytes(next), childrenOf(next)])
    memoryBytes += resident
    cpuTicks += row?.cpuTicks ?? 0
    queue.push(...children)
  }
  return memoryBytes === 0 ? null : { memoryBytes, cpuSeconds: cpuTicks / TICKS_PER_SECOND }
}

function kill(pid: number): boolean {
  try {
    return process.kill(pid, 'SIGKILL')
  } catch {
    return false
  }
}

async function processIds(): Promise<number[]> {
  try {
    return (await readdir('/proc')).filter(name => /^\d+$/.test(name)).map(Number)
  } catch {
    return []
  }
}

async function readRow(pid: number): Promise<ProcessRow | null> {
  const text = await read(`/proc/${pid}/stat`)
  // The name of the program is in parentheses and may hold anything, parentheses too.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  if (fields.length < 20 || fields[0] === 'Z' || fields[0] === 'X') return null
  const at = (field: number): number => Number(fields[field - 3])
  return { parent: at(4), session: at(6), startTicks: at(22), cpuTicks: at(14) + at(15) + at(16) + at(17) }
}

async function residentBytes(pid: number): Promise<number> {
  const [, kib = '0'] = /^VmRSS:\s+(\d+) kB$/m.exec(await read(`/proc/${pid}/status`)) ?? []
  return Number(kib) * 1024
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await read(`/proc/${pid}/task/${pid}/children`)
  return text.split(' ').filter(Boolean).map(Number)
}

async function ownNamespace(): Promise<string> {
  try {
    return await readlink('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

/** `''` where there is nothing to read. */
async function read(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8')
  } catch {
    return ''
  }
}
