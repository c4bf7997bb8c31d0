import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse, stringify } from 'yaml'
import { startNginx, workersOf } from './nginx.ts'
import { small, type Workload } from './payload.ts'
import { family, listening, type Running, start } from './process.ts'

const BENCH = join(import.meta.dirname, '..')
const ROOT = join(BENCH, '..')
const CLI = join('proxy', 'cli', 'sluice.ts')
/** The interceptors of a hardened installation, as they are by default. */
const FULL_CHAIN = 'full-chain.yaml'

/** Something that stands between the load and the upstream. */
export interface System {
  readonly name: string
  readonly what: string
  readonly url: string
  /** What it is asked. */
  readonly workload: Workload
  readonly running: Running
  /** Whose CPU time counts, asked anew for each round. */
  pids(): number[]
}

/** Starts one system on `port`, in front of the upstream; whatever it writes goes to `dir`. */
export type Starter = (dir: string, port: number, upstreamPort: number) => Promise<System>

export async function nginx(dir: string, port: number, upstreamPort: number): Promise<System> {
  const running = await startNginx(join(dir, 'nginx'), port, upstreamPort)
  const what = 'proxy_pass, 1 worker, keep-alive to the upstream, access log off'
  return { name: 'nginx', what, url: urlOf(port), workload: small, running, pids: () => workersOf(running) }
}

/** node:http + undici and nothing else: what no proxy on these two can go below. */
export async function bare(_dir: string, port: number, upstreamPort: number): Promise<System> {
  const script = join(BENCH, 'servers', 'bare-proxy.ts')
  const running = start(process.execPath, [script, String(port), String(upstreamPort)])
  await listening(running, port, 'the bare proxy')
  const what = 'node:http + undici dispatch, no checks: the floor of the stack'
  return { name: 'bare', what, url: urlOf(port), workload: small, running, pids: () => family(running.pid) }
}

/** Sluice without a policy. */
export function passThrough(dir: string, port: number, upstreamPort: number): Promise<System> {
  return sluice('pass-through', 'Sluice, no policy: bytes pass', { dir, port, upstreamPort })
}

/** Sluice with `bench/policies/quick-chain.yaml`; audit lines go to a real file. */
export function chain(dir: string, port: number, upstreamPort: number): Promise<System> {
  const what = 'Sluice, audit + access + 2 no-op JSON interceptors'
  return sluice('chain', what, { dir, port, upstreamPort, policy: policyOf('quick-chain.yaml') })
}

/** Sluice with `bench/policies/full-chain.yaml`. */
export function fullChain(dir: string, port: number, upstreamPort: number): Promise<System> {
  const what = 'Sluice, audit + access + rate-limit + schema + secret-scan'
  return sluice('full-chain', what, { dir, port, upstreamPort, policy: policyOf(FULL_CHAIN) })
}

/** The full chain of another checkout, to compare with. */
export function fullChainOf(root: string): Starter {
  const what = `the same of ${root}`
  return (dir, port, upstreamPort) =>
    sluice('before', what, { dir, port, upstreamPort, policy: policyOf(FULL_CHAIN), root })
}

/** Sluice with some interceptors of the full chain, with the options they have there. */
export function only(...uses: readonly string[]): Starter {
  const name = uses.join('+')
  const policy = policyWith(uses)
  return (dir, port, upstreamPort) => sluice(name, `Sluice, only ${name}`, { dir, port, upstreamPort, policy })
}

/** The full chain's policy, with no other interceptors than these. */
export function policyWith(uses: readonly string[]): string {
  const full = parse(policyOf(FULL_CHAIN)) as { interceptors: { use: string }[]; access_control: object }
  // Rights that nobody enforces are an error.
  const rights = uses.includes('access') ? { access_control: full.access_control } : {}
  const interceptors = full.interceptors.filter(({ use }) => uses.includes(use))
  return stringify({ version: 1, ...rights, interceptors })
}

/** The same system, asked something else. */
export function asked(system: System, workload: Workload): System {
  return { ...system, name: `${system.name} ${workload.name}`, workload }
}

interface Setting {
  readonly dir: string
  readonly port: number
  readonly upstreamPort: number
  /** Its text; none = bytes pass. */
  readonly policy?: string
  /** The checkout that runs. */
  readonly root?: string
}

function policyOf(file: string): string {
  return readFileSync(join(BENCH, 'policies', file), 'utf8')
}

async function sluice(name: string, what: string, setting: Setting): Promise<System> {
  const { dir, port, upstreamPort, policy, root = ROOT } = setting
  const home = join(dir, name)
  mkdirSync(home, { recursive: true })
  if (policy !== undefined) writeFileSync(join(home, 'policy.yaml'), policy)
  const file = join(home, 'sluice.yaml')
  writeFileSync(file, config(home, upstreamPort, policy === undefined ? [] : ['policy.yaml']))
  const args = ['run', '-c', file, '--listen', `127.0.0.1:${port}`, '--log-level', 'error']
  const running = start(process.execPath, [...profiling(name), join(root, CLI), ...args])
  await listening(running, port, `sluice (${name})`)
  return { name, what, url: urlOf(port), workload: small, running, pids: () => family(running.pid) }
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
