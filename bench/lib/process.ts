import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'

/** What the kernel counts in: USER_HZ is 100 on every Linux that Node supports. */
const TICKS_PER_SECOND = 100
const START_LIMIT_MS = 15_000
const STOP_LIMIT_MS = 3_000
const OUTPUT_LIMIT = 8_192

/** One started program, with the last of what it printed. */
export interface Running {
  readonly child: ChildProcess
  readonly pid: number
  output(): string
}

/** Whether a program can be started. */
export function installed(command: string): boolean {
  return spawnSync(command, ['-v'], { stdio: 'ignore' }).error === undefined
}

/** Starts a program without a shell; its output is kept (the last 8 KiB) for error messages. */
export function start(command: string, args: string[], options: { cwd?: string } = {}): Running {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options })
  let text = ''
  const keep = (data: Buffer) => {
    text = (text + data.toString()).slice(-OUTPUT_LIMIT)
  }
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  child.on('error', error => keep(Buffer.from(`${error.message}\n`)))
  const kill = () => killFamily(child)
  process.once('exit', kill) // nothing outlives a benchmark that broke
  child.once('exit', () => process.off('exit', kill))
  return { child, pid: child.pid ?? 0, output: () => text }
}

/** With the children: those of a master that is killed would live on. */
function killFamily(child: ChildProcess): void {
  if (child.pid === undefined) return
  for (const pid of family(child.pid)) {
    try {
      process.kill(pid, 'SIGKILL')
    } catch {
      // It ended by itself.
    }
  }
}

/** Ends it with SIGTERM, after 3 s with SIGKILL. Further arguments do not count: it may be mapped over a list. */
export function stop(running: Running): Promise<void> {
  return stopWithin(running, STOP_LIMIT_MS)
}

/** Ends it with SIGTERM, after so long with SIGKILL. */
export async function stopWithin(running: Running, limitMs: number): Promise<void> {
  const { child } = running
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
  child.kill('SIGTERM')
  const timer = setTimeout(() => killFamily(child), limitMs)
  await gone
  clearTimeout(timer)
}

/** Waits until something accepts on the port; throws with the program's output when it ended or did not come up. */
export async function listening(running: Running, port: number, what: string): Promise<void> {
  const deadline = Date.now() + START_LIMIT_MS
  while (!(await accepts(port))) {
    const ended = running.child.exitCode !== null || running.child.pid === undefined
    if (ended || Date.now() > deadline) {
      throw new Error(`${what} does not listen on 127.0.0.1:${port}${ended ? ' (it ended)' : ''}:\n${running.output()}`)
    }
    await new Promise(resolve => setTimeout(resolve, 50))
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

/** `count` ports that were free a moment ago. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(Array.from({ length: count }, bound))
  const ports = servers.map(server => (server.address() as { port: number }).port)
  await Promise.all(servers.map(server => new Promise(resolve => server.close(resolve))))
  return ports
}

function bound(): Promise<ReturnType<typeof createServer>> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
}

/** The process and all its descendants. */
export function family(pid: number): number[] {
  const found = [pid]
  for (const id of found) {
    for (const task of tasks(id)) {
      const text = read(`/proc/${id}/task/${task}/children`)
      if (text !== '') found.push(...text.trim().split(/\s+/).map(Number))
    }
  }
  return found
}

/** User and system time of these processes with all their threads, in microseconds (resolution: 10 ms). */
export function cpuMicros(pids: readonly number[]): number {
  let ticks = 0
  for (const pid of pids) {
    const fields = afterName(read(`/proc/${pid}/stat`))
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0)
  }
  return (ticks * 1e6) / TICKS_PER_SECOND
}

/** What all programs of the machine have used together, in microseconds. */
export function machineCpuMicros(): number {
  const [, user = 0, nice = 0, system = 0, , , irq = 0, softIrq = 0] =
    read('/proc/stat').split('\n', 1)[0]?.split(/\s+/).map(Number) ?? []
  return ((user + nice + system + irq + softIrq) * 1e6) / TICKS_PER_SECOND
}

/** The fields of /proc/PID/stat from the third on: the second, the name, may hold blanks and brackets. */
function afterName(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
}

function tasks(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`)
  } catch {
    return []
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim()
  } catch {
    return ''
  }
}
