import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { type ChildRecord, children, OWNER_MARK } from './process/children.ts'
import { isAlive, nameProcess, type ProcessName, Sweeper, signalGroup, startOf } from './process/process-table.ts'

export interface ClaimOptions {
  readonly stateDir: string
  /** A name that the operator chose; `''` = one is made of `key`. */
  readonly wanted: string
  /** Letters, digits and `-`: the same for the same configuration, so that a restart gets the same name. */
  readonly key: string
}

/** What a state file says: who runs as this instance, and which processes are its children. */
interface InstanceState {
  readonly version: 1
  readonly instance: string
  readonly owner: ProcessName
  /** Stands in the environment of all its children. */
  readonly token: string
  readonly children: readonly ChildRecord[]
}

/** Most instances with one state folder and one configuration. */
const MAX_INSTANCES = 64
/** How long what a dead proxy left behind may take to end by itself. */
const GRACE_MS = 1_000
const POLL_MS = 20
/** How often a state file is written although nothing has changed: a sign of life for those who cannot look at pids. */
const HEARTBEAT_MS = 30_000
/** One in another pid namespace (a container that was replaced) that has not been written for so long is dead. */
const STALE_MS = 4 * HEARTBEAT_MS
const SUFFIX = '.json'

/** This process runs as one instance until `close`. */
export interface InstanceClaim {
  /** Nobody else who shares the state folder has it. */
  readonly id: string
  /** How many process groups of dead instances were ended. */
  readonly reaped: number
  /** Forgets the instance. Its children should have ended. */
  close(): Promise<void>
}

/**
 * Takes a name for this process in the state folder, and ends what dead instances left behind there. A living instance and
 * its processes are never touched.
 * @throws Error when the wanted name belongs to a living process
 */
export async function claimInstance(options: ClaimOptions): Promise<InstanceClaim> {
  const dir = join(options.stateDir, 'fleet')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const reaped = await reapDead(dir, options.wanted)
  const owner = (await nameProcess(process.pid)) ?? { pid: process.pid, startTicks: 0, bootId: '', namespace: '' }
  for (const id of candidates(options)) {
    const claim = new StateFile(dir, id, owner, reaped)
    if (await claim.create()) return claim
    if (options.wanted === '') continue
    const pid = (await readState(join(dir, id + SUFFIX)))?.owner.pid
    throw new Error(
      `another sluice (pid ${pid ?? 'unknown'}) runs as instance "${id}": give fleet.instance another name`,
    )
  }
  throw new Error(`${dir}: ${MAX_INSTANCES} instances run with this configuration already`)
}

function* candidates({ wanted, key }: ClaimOptions): Generator<string> {
  if (wanted !== '') {
    yield wanted
    return
  }
  yield key
  for (let i = 2; i <= MAX_INSTANCES; i++) yield `${key}-${i}`
}

class StateFile implements InstanceClaim {
  readonly id: string
  readonly reaped: number
  readonly #path: string
  readonly #owner: ProcessName
  #writing: Promise<void> = Promise.resolve()
  #isDirty = false
  #isClosed = false
  #stopListening: () => void = () => {}
  #heartbeat: NodeJS.Timeout | null = null

  constructor(dir: string, id: string, owner: ProcessName, reaped: number) {
    this.id = id
    this.reaped = reaped
    this.#path = join(dir, id + SUFFIX)
    this.#owner = owner
  }

  /** @returns false when somebody has the name */
  async create(): Promise<boolean> {
    try {
      const file = await open(this.#path, 'wx', 0o600)
      await file.writeFile(this.#text())
      await file.close()
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    }
    this.#stopListening = children.onChange(() => this.#touch())
    this.#heartbeat = setInterval(() => this.#touch(), HEARTBEAT_MS).unref()
    this.#touch()
    return true
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#stopListening()
    if (this.#heartbeat !== null) clearInterval(this.#heartbeat)
    await this.#writing
    await rm(this.#path, { force: true })
  }

  /** Changes that come while one is written share the next writing. */
  #touch(): void {
    if (this.#isDirty) return
    this.#isDirty = true
    this.#writing = this.#writing.then(async () => {
      this.#isDirty = false
      if (!this.#isClosed) await this.#write().catch(() => {})
    })
  }

  /** Whole or not at all. */
  async #write(): Promise<void> {
    const next = `${this.#path}.next`
    await writeFile(next, this.#text(), { mode: 0o600 })
    await rename(next, this.#path)
  }

  #text(): string {
    const { id: instance } = this
    const state: InstanceState = {
      version: 1,
      instance,
      owner: this.#owner,
      token: children.token,
      children: children.living,
    }
    return `${JSON.stringify(state)}\n`
  }
}

/** Ends what the dead left behind. Only one of several starting proxies gets each file. */
async function reapDead(dir: string, wanted: string): Promise<number> {
  let reaped = 0
  for (const name of await readdir(dir)) {
    if (!name.endsWith(SUFFIX) && !name.endsWith('.dead')) continue
    const path = join(dir, name)
    const state = await readState(path)
    if (state === null || (await isRunning(state, path, wanted))) continue
    const grave = join(dir, `${randomUUID()}.dead`)
    const isOurs = await rename(path, grave).then(
      () => true,
      () => false,
    )
    if (!isOurs) continue
    reaped += await endChildren(state)
    // What its children had been given in files.
    await rm(join(dir, `${state.instance}.files`), { recursive: true, force: true })
    await rm(grave, { force: true })
  }
  return reaped
}

async function endChildren({ children: left, token, owner }: InstanceState): Promise<number> {
  // Pids of before the last boot, or of another namespace, are others'.
  const now = await nameProcess(process.pid)
  if (now !== null && (now.bootId !== owner.bootId || now.namespace !== owner.namespace)) return 0
  const found = await Promise.all(left.map(async child => ((await isSame(child)) ? child.pid : 0)))
  const groups = found.filter(pid => pid !== 0)
  for (const pid of groups) signalGroup(pid, 'SIGTERM')
  for (let waited = 0; waited < GRACE_MS && groups.some(pid => signalGroup(pid, 0)); waited += POLL_MS)
    await delay(POLL_MS)
  for (const pid of groups) signalGroup(pid, 'SIGKILL')
  return groups.length + (await new Sweeper().sweep({ leader: 0, mark: `${OWNER_MARK}=${token}` }))
}

async function isSame({ pid, startTicks }: ChildRecord): Promise<boolean> {
  return startTicks !== 0 && (await startOf(pid)) === startTicks
}

/** Where nobody can look (another pid namespace), the file says it; whoever has the wanted name there has it no longer. */
async function isRunning({ owner, instance }: InstanceState, path: string, wanted: string): Promise<boolean> {
  if (owner.bootId === '') return signalProcess(owner.pid)
  const alive = await isAlive(owner)
  if (alive !== 'unknown') return alive
  return instance !== wanted && Date.now() - (await writtenAt(path)) < STALE_MS
}

/** In milliseconds since the epoch; 0 = it is gone. */
function writtenAt(path: string): Promise<number> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => 0,
  )
}

function signalProcess(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function readState(path: string): Promise<InstanceState | null> {
  try {
    const state: unknown = JSON.parse(await readFile(path, 'utf8'))
    return isState(state) ? state : null
  } catch {
    return null
  }
}

function isState(value: unknown): value is InstanceState {
  const { version, owner, token, children: list } = (value ?? {}) as Partial<InstanceState>
  const isNamed = /^[a-z0-9-]+$/.test(String((value as Partial<InstanceState> | null)?.instance))
  return isNamed && version === 1 && typeof owner?.pid === 'number' && typeof token === 'string' && Array.isArray(list)
}
