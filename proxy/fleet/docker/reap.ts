import { hostname } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { isAlive, nameProcess } from '../process/process-table.ts'
import { type DockerEngine, unlessGone } from './engine.ts'
import { EngineError, troubleOf } from './engine-error.ts'
import { LABELS, type Ownership, ownFilter, readOwner } from './labels.ts'

const TRIES = 3
const AGAIN_MS = 200

/**
 * Removes containers and volumes of this instance and server that no living process owns: those of a proxy that was killed.
 * Other instances' are never touched, nor what this process, or another living one with the same name, runs.
 * @returns how many containers were removed
 * @throws EngineError when the engine cannot be asked
 */
export async function reapContainers(engine: DockerEngine, whose: Ownership): Promise<number> {
  const filters = ownFilter(whose)
  const found = await engine.call('list containers', abortSignal =>
    engine.docker.listContainers({ all: true, filters, abortSignal }),
  )
  let removed = 0
  for (const { Id, Labels } of found) {
    if (await isOwned(engine, Labels)) continue
    const container = engine.docker.getContainer(Id)
    await insist(() => engine.call('remove container', () => container.remove({ force: true, v: true })))
    removed++
  }
  await reapVolumes(engine, whose)
  return removed
}

async function reapVolumes(engine: DockerEngine, whose: Ownership): Promise<void> {
  const list = (): Promise<{ Volumes: { Name: string; Labels: Record<string, string> | null }[] | null }> =>
    engine.docker.listVolumes({ filters: ownFilter(whose) as never }) as never
  const { Volumes } = await engine.call('list volumes', list)
  for (const { Name, Labels } of Volumes ?? []) {
    if (await isOwned(engine, Labels ?? {})) continue
    const volume = engine.docker.getVolume(Name)
    await insist(() => engine.call('remove volume', () => volume.remove({ force: true })))
  }
}

/**
 * Whether somebody has it, or may have it. A proxy with the same name may run on another machine, or in another container:
 * such a one is dead when its host is ours, so that it was here before us, or when the engine knows that its container is.
 */
async function isOwned(engine: DockerEngine, labels: Readonly<Record<string, string>>): Promise<boolean> {
  const owner = readOwner(labels[LABELS.owner])
  if (owner === null) return false
  if (owner.process !== null) {
    const [isRunning, here] = await Promise.all([isAlive(owner.process), nameProcess(process.pid)])
    if (isRunning === true) return true
    if (here?.bootId === owner.process.bootId && here.namespace === owner.process.namespace) return false
  }
  if (owner.host === hostname()) return false
  return CONTAINER_ID.test(owner.host) ? runs(engine, owner.host) : true
}

/** The host name of a container that was given none. */
const CONTAINER_ID = /^[0-9a-f]{12}$/

async function runs(engine: DockerEngine, container: string): Promise<boolean> {
  try {
    return (await engine.call('inspect container', () => engine.docker.getContainer(container).inspect())).State.Running
  } catch (error) {
    if (troubleOf(error) === 'missing') return false
    throw error
  }
}

/** A container in the middle of its end says "conflict" for a moment. */
async function insist(step: () => Promise<unknown>): Promise<void> {
  for (let tries = 1; ; tries++) {
    try {
      return await unlessGone(step())
    } catch (error) {
      if (!(error instanceof EngineError) || troubleOf(error) !== 'conflict' || tries === TRIES) throw error
    }
    await delay(AGAIN_MS * tries)
  }
}
