import type { ContainerSpec } from '../spec/container.ts'
import { type DockerEngine, unlessGone } from './engine.ts'
import { troubleOf } from './engine-error.ts'
import { LABELS, type Ownership } from './labels.ts'

/** The network a container joins. */
export interface NetworkChoice {
  /** As the engine knows it. */
  readonly name: string
  /** Whether it is one of ours, made when it is needed and removed with its last container. */
  readonly isOwn: boolean
  /** Whether the port is published on 127.0.0.1; else the container's address in the network is used. */
  readonly isPublished: boolean
}

/** stdio needs no network; `internal` is a network of the server's own that leads nowhere else. */
export function networkOf(spec: Pick<ContainerSpec, 'network' | 'port'>, whose: Ownership): NetworkChoice {
  const isHttp = spec.port !== 0
  if (spec.network === 'internal') {
    return { name: `sluice-${whose.instance}-${whose.server}`, isOwn: true, isPublished: false }
  }
  if (spec.network === '') return { name: isHttp ? 'bridge' : 'none', isOwn: false, isPublished: isHttp }
  return { name: spec.network, isOwn: false, isPublished: isHttp && spec.network === 'bridge' }
}

/** Makes our own network where it is not there. @throws EngineError */
export async function ensureNetwork(engine: DockerEngine, choice: NetworkChoice, whose: Ownership): Promise<void> {
  if (!choice.isOwn) return
  const create = (): Promise<unknown> =>
    engine.docker.createNetwork({
      Name: choice.name,
      Internal: true,
      CheckDuplicate: true,
      Labels: { [LABELS.instance]: whose.instance, [LABELS.server]: whose.server },
    })
  try {
    await engine.call(`create network ${choice.name}`, create)
  } catch (error) {
    if (troubleOf(error) !== 'conflict') throw error
  }
}

/** Removes our own network unless somebody is still in it. @throws EngineError when the engine does not answer */
export async function dropNetwork(engine: DockerEngine, choice: NetworkChoice): Promise<void> {
  if (!choice.isOwn) return
  const network = engine.docker.getNetwork(choice.name)
  try {
    await unlessGone(engine.call(`remove network ${choice.name}`, () => network.remove()))
  } catch (error) {
    // "has active endpoints": the next container is there already.
    if (!['refused', 'conflict'].includes(troubleOf(error) ?? '')) throw error
  }
}
