import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { startNginx, workersOf } from './nginx.ts'
import { family, listening, type Running, start } from './process.ts'

const BENCH = join(import.meta.dirname, '..')
const CLI = join(BENCH, '..', 'proxy', 'cli', 'sluice.ts')

/** Something that stands between the load and the upstream. */
export interface System {
  readonly name: string
  readonly what: string
  readonly url: string
  readonly running: Running
  /** Whose CPU time counts, asked anew for each round. */
  pids(): number[]
}

/** Starts one system on `port`, in front of the upstream; whatever it writes goes to `dir`. */
export type Starter = (dir: string, port: number, upstreamPort: number) => Promise<System>

export async function nginx(dir: string, port: number, upstreamPort: number): Promise<System> {
  const running = await startNginx(join(dir, 'nginx'), port, upstreamPort)
  const what = 'proxy_pass, 1 worker, keep-alive to the upstream, access log off'
  return { name: 'nginx', what, url: urlOf(port), running, pids: () => workersOf(running) }
}

/** node:http + undici and nothing else: what no proxy on these two can go below. */
export async function bare(_dir: string, port: number, upstreamPort: number): Promise<System> {
  const script = join(BENCH, 'servers', 'bare-proxy.ts')
  const running = start(process.execPath, [script, String(port), String(upstreamPort)])
  await listening(running, port, 'the bare proxy')
  const what = 'node:http + undici dispatch, no checks: the floor of the stack'
  return { name: 'bare', what, url: urlOf(port), running, pids: () => family(running.pid) }
}

/** Sluice without a policy. */
export function passThrough(dir: string, port: number, upstreamPort: number): Promise<System> {
  return sluice('pass-through', 'Sluice, no policy: bytes pass', dir, port, upstreamPort, [])
}

/** Sluice with `bench/policies/quick-chain.yaml`; audit lines go to a real file. */
export function chain(dir: string, port: number, upstreamPort: number): Promise<System> {
  const what = 'Sluice, audit + access + 2 no-op JSON interceptors'
  return sluice('chain', what, dir, port, upstreamPort, ['quick-chain.yaml'])
}

async function sluice(
  name: string,
  what: string,
  dir: string,
  port: number,
  upstreamPort: number,
  policies: readonly string[],
): Promise<System> {
  const home = join(dir, name)
  mkdirSync(home, { recursive: true })
  for (const file of policies) copyFileSync(join(BENCH, 'policies', file), join(home, file))
  const file = join(home, 'sluice.yaml')
  writeFileSync(file, config(home, upstreamPort, policies))
  const args = ['run', '-c', file, '--listen', `127.0.0.1:${port}`, '--log-level', 'error']
  const running = start(process.execPath, [...profiling(name), CLI, ...args])
  await listening(running, port, `sluice (${name})`)
  return { name, what, url: urlOf(port), running, pids: () => family(running.pid) }
}

/** `SLUICE_BENCH_PROFILE=DIR`: Sluice writes CPU profiles there; the figures of such a run mean nothing. */
function profiling(name: string): string[] {
  const dir = process.env['SLUICE_BENCH_PROFILE']
  return dir === undefined ? [] : ['--cpu-prof', '--cpu-prof-interval', '400', '--cpu-prof-dir', join(dir, name)]
}

function config(home: string, upstreamPort: number, policies: readonly string[]): string {
  return `version: 1
access_log: off
admin: off
workers: 1
state_dir: ${JSON.stringify(home)}
servers:
  bench:
    url: http://127.0.0.1:${upstreamPort}/mcp
policies: ${JSON.stringify(policies)}
interceptor_dirs: [${JSON.stringify(join(BENCH, 'interceptors'))}]
`
}

function urlOf(port: number): string {
  return `http://127.0.0.1:${port}/mcp`
}
