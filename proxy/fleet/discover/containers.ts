import type { ContainerInfo } from 'dockerode'
import type { ReplicaPlace } from '../../upstream/replica-table.ts'
import type { DockerEngine } from '../docker/engine.ts'
import type { DockerSource } from '../spec.ts'

/** How an engine's list tells of a HEALTHCHECK that is not passed. */
const NOT_WELL = /\((unhealthy|health: starting)\)/

/** Running containers with a label that say nothing against their health. @throws EngineError */
export async function findContainers(engine: DockerEngine, source: DockerSource): Promise<ReplicaPlace[]> {
  const filters = { label: [source.label], status: ['running'] }
  const found = await engine.call('list containers', abortSignal =>
    engine.docker.listContainers({ filters, abortSignal }),
  )
  return found.filter(one => !NOT_WELL.test(one.Status)).flatMap(one => placeOf(one, source) ?? [])
}

function placeOf(container: ContainerInfo, source: DockerSource): ReplicaPlace | null {
  const host = addressOf(container, source.network)
  if (host === null) return null
  return placeAt(container.Id.slice(0, 12), host, source.port, source.path, 'ready')
}

/** Its address in a network, the first by name where none is asked for; `null` = it has none. */
function addressOf(container: ContainerInfo, network: string): string | null {
  const networks = container.NetworkSettings?.Networks ?? {}
  if (network !== '') return networks[network]?.IPAddress || null
  const names = Object.keys(networks).sort()
  const own = names.map(name => networks[name]?.IPAddress ?? '').find(address => address !== '')
  return own ?? (names.includes('host') ? '127.0.0.1' : null)
}

export function placeAt(
  id: string,
  host: string,
  port: number,
  path: string,
  state: ReplicaPlace['state'],
): ReplicaPlace {
  const authority = host.includes(':') ? `[${host}]` : host
  return { id, url: new URL(path, `http://${authority}:${port}`).href, socketPath: '', state }
}
