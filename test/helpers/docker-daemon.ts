import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { DockerEngine } from '../../proxy/fleet/docker/engine.ts'
import { enginePlace } from '../../proxy/fleet/docker/engine-place.ts'
import { NEEDS_DOCKER } from './docker.ts'
import { DEADLINE_MS, type Scope } from './scope.ts'

/** Debian keeps it where only root's PATH leads. */
const ENV = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/sbin` }

/** Tests that stop an engine, or make it a swarm, start their own: that needs the program, and root. */
export const NEEDS_DAEMON = {
  skip: NEEDS_DOCKER.skip || whyNot(),
}

function whyNot(): string | false {
  if (process.env.CI !== undefined) return false
  if (process.getuid?.() !== 0) return 'only root can start a Docker engine'
  return spawnSync('dockerd', ['--version'], { env: ENV }).status === 0 ? false : 'dockerd is not installed'
}

/** A Docker engine of a test's own. */
export interface Daemon {
  readonly engine: DockerEngine
  /** Ends it, politely by default. Containers end with it unless it was started with `--live-restore`. */
  stop(signal?: NodeJS.Signals): Promise<void>
  /** Starts it again, with what it had. */
  start(): Promise<void>
}

/** The firewall belongs to the machine's own engine, and so does its bridge, which `--bridge=none` would remove. */
const APART = ['--iptables=false', '--ip6tables=false', '--ip-forward=false', '--ip-masq=false']

/** Starts an engine with its own socket and data; with `scope` it ends, and all that was in it. */
export async function startDaemon(scope: Scope, args: readonly string[] = []): Promise<Daemon> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-engine-'))
  const socket = join(dir, 'docker.sock')
  const engine = new DockerEngine(enginePlace(socket, {}))
  const places = ['data-root', 'exec-root', 'pidfile'].map(name => `--${name}=${join(dir, name)}`)
  let child: ChildProcess | null = null
  const start = async (): Promise<void> => {
    const log = openSync(join(dir, 'log'), 'a')
    child = spawn('dockerd', [`--host=unix://${socket}`, ...places, ...APART, ...args], {
      env: ENV,
      stdio: ['ignore', log, log],
    })
    closeSync(log)
    await ready(engine, child, join(dir, 'log'))
  }
  const stop = async (signal: NodeJS.Signals = 'SIGTERM'): Promise<void> => {
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const gone = once(child, 'exit')
    child.kill(signal)
    await gone
  }
  scope.after(async () => {
    await removeAll(engine).catch(() => {})
    await stop()
    // With --live-restore an engine leaves its folder mounted on itself.
    spawnSync('umount', ['--lazy', join(dir, 'data-root')], { stdio: 'ignore' })
    rmSync(dir, { recursive: true, force: true })
  })
  await start()
  return { engine, start, stop }
}

async function ready(engine: DockerEngine, child: ChildProcess, log: string): Promise<void> {
  const limit = performance.now() + 3 * DEADLINE_MS
  for (;;) {
    const isUp = await engine.version().then(
      () => true,
      () => false,
    )
    if (isUp) return
    if (child.exitCode !== null || performance.now() > limit) {
      throw new Error(`dockerd did not start: ${readFileSync(log, 'utf8').slice(-2000)}`)
    }
    await delay(50)
  }
}

async function removeAll(engine: DockerEngine): Promise<void> {
  for (const { Id } of await engine.docker.listContainers({ all: true })) {
    await engine.docker.getContainer(Id).remove({ force: true, v: true })
  }
  await engine.docker.swarmLeave({ force: true }).catch(() => {})
  // Bridges are interfaces of the machine: they do not go with the engine.
  for (const { Id, Driver } of await engine.docker.listNetworks()) {
    if (Driver === 'bridge')
      await engine.docker
        .getNetwork(Id)
        .remove()
        .catch(() => {})
  }
}
