import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { systemClock } from '../../proxy/base/clock.ts'
import { LIFE_DEFAULTS } from '../../proxy/config/servers/source-keys.ts'
import { Fleet, type FleetOptions } from '../../proxy/fleet/fleet.ts'
import { ProcessLauncher } from '../../proxy/fleet/process/process-launcher.ts'
import type { LifeSpec, ProcessSource, ServerSpec } from '../../proxy/fleet/spec.ts'
import type { ServerPlaces } from '../../proxy/upstream/replica-table.ts'
import { Closers, type Scope, until } from '../helpers/scope.ts'

export const CHILD = fileURLToPath(new URL('./child.ts', import.meta.url))

const lasts = new WeakMap<Scope, Closers>()

/** The same scope, closed in reverse order: a folder goes after those who write there. */
export function lastFirst(scope: Scope): Scope {
  let closers = lasts.get(scope)
  if (closers === undefined) {
    const own = new Closers()
    lasts.set(scope, own)
    scope.after(() => own.close())
    closers = own
  }
  return closers
}

export async function tempDir(scope: Scope): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'fleet-'))
  lastFirst(scope).after(() => rm(dir, { recursive: true, force: true }))
  return dir
}

/** A server of `child.ts` processes. */
export function childServer(
  life: Partial<LifeSpec> = {},
  env: Readonly<Record<string, string>> = {},
  name = 'kb',
): ServerSpec {
  const source: ProcessSource = {
    kind: 'process',
    command: [process.execPath, CHILD],
    transport: 'http',
    portEnv: 'PORT',
    path: '/mcp',
    cwd: '/',
    env,
  }
  const health = { ...LIFE_DEFAULTS.health, ...life.health }
  return { name, source, life: { ...LIFE_DEFAULTS, stopGraceMs: 2_000, ...life, health } }
}

export interface TestFleet {
  readonly fleet: Fleet
  /** The newest table of the server `kb`. */
  readonly places: ServerPlaces
  /** Resolves when so many of its replicas are ready. */
  ready(count: number): Promise<void>
}

export async function startFleet(
  scope: Scope,
  specs: readonly ServerSpec[],
  options: Partial<FleetOptions> = {},
): Promise<TestFleet> {
  let places: ServerPlaces = { server: 'kb', places: [], coming: true, reason: '' }
  const fleet = await Fleet.create(specs, {
    makers: {
      launcher: ({ name, source }) =>
        new ProcessLauncher({ server: name, source: source as ProcessSource, env: async () => ({}) }),
      source: () => {
        throw new Error('no source here')
      },
    },
    clock: systemClock,
    onPlaces: table => {
      if (table.server === 'kb') places = table
    },
    stateDir: options.stateDir ?? (await tempDir(scope)),
    instance: '',
    key: 'test',
    drainMs: 5_000,
    ...options,
  })
  lastFirst(scope).after(() => fleet.close())
  return {
    fleet,
    get places() {
      return places
    },
    ready: count =>
      until(
        () => places.places.filter(({ state }) => state === 'ready').length === count,
        `${count} ready replicas`,
        20_000,
      ),
  }
}

/** Whether a process runs; a zombie does not. */
export function isRunning(pid: number): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2)[0] !== 'Z'
  } catch {
    return false
  }
}
