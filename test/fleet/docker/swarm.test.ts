import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { DockerReplicaSource } from '../../../proxy/fleet/discover/docker.ts'
import { testImage } from '../../helpers/docker.ts'
import { type Daemon, NEEDS_DAEMON, startDaemon } from '../../helpers/docker-daemon.ts'
import { Places } from '../../helpers/places.ts'
import { DEADLINE_MS, suiteScope } from '../../helpers/scope.ts'

const NAME = 'mcp_kb'

describe('a Swarm service', NEEDS_DAEMON, () => {
  const scope = suiteScope()
  let daemon: Daemon
  const interfaces: string[] = []
  before(async () => {
    scope.after(() => {
      for (const name of interfaces) spawnSync('ip', ['link', 'delete', name], { stdio: 'ignore' })
    })
    daemon = await startDaemon(scope)
  })

  it('cannot be followed where there is no swarm', async t => {
    const places = new Places(source(), t)
    await places.untilTrouble(/^the Docker engine at .* is no manager of a swarm: services are known to managers only$/)
  })

  it('is followed through its start, a scale-down and its end', async t => {
    const image = await testImage(daemon.engine)
    await daemon.engine.docker.swarmInit({ ListenAddr: '127.0.0.1:0', AdvertiseAddr: '127.0.0.1' })
    const network = await localNetwork()
    const service = await daemon.engine.docker.createService(specification(image, network, 3))
    const places = new Places(source(), t)
    await places.until(3)
    for (const { url } of places.last) assert.equal(await ping(url), 200)
    const before = places.last.map(place => place.id)

    const { Version } = await daemon.engine.docker.getService(service.id).inspect()
    await daemon.engine.docker
      .getService(service.id)
      .update({ version: Version.Index, ...specification(image, network, 1) })
    await places.until(1)
    const [left] = places.last.filter(place => place.state === 'ready')
    assert.ok(before.includes(left?.id ?? ''), 'one of those that were there')
    assert.equal(await ping(left?.url ?? ''), 200)

    await daemon.engine.docker.getService(service.id).remove()
    await places.until(0)
  })

  function source(): DockerReplicaSource {
    const wanted = { kind: 'docker', label: '', service: NAME, port: 3000, path: '/mcp', network: '' } as const
    return new DockerReplicaSource(wanted, daemon.engine)
  }

  /**
   * A bridge for tasks: those of an overlay cannot be reached from outside of it. An engine forgets the interface of such a
   * network and leaves it behind, with a route to its addresses: it is removed here, and no two runs use the same addresses.
   */
  async function localNetwork(): Promise<string> {
    const config = {
      Name: 'local',
      ConfigOnly: true,
      IPAM: { Config: [{ Subnet: `172.31.${randomInt(1, 255)}.0/24` }] },
    }
    await daemon.engine.docker.createNetwork(config as never)
    const bridge = { Name: 'tasks', Driver: 'bridge', Scope: 'swarm', ConfigFrom: { Network: 'local' } }
    const { id } = await daemon.engine.docker.createNetwork(bridge as never)
    interfaces.push(`br-${id.slice(0, 12)}`)
    return id
  }
})

function specification(image: string, network: string, replicas: number): Record<string, unknown> & { Name: string } {
  return {
    Name: NAME,
    TaskTemplate: { ContainerSpec: { Image: image, User: '65534' }, Networks: [{ Target: network }] },
    Mode: { Replicated: { Replicas: replicas } },
    EndpointSpec: { Ports: [{ Protocol: 'tcp', TargetPort: 3000, PublishMode: 'host' }] },
  } as never
}

/** Waits until it listens. */
async function ping(url: string): Promise<number> {
  const limit = AbortSignal.timeout(DEADLINE_MS)
  for (;;) {
    try {
      const ask = { method: 'POST', body: '{"jsonrpc":"2.0","id":1,"method":"ping"}', signal: limit }
      return (await fetch(url, ask)).status
    } catch (error) {
      if (limit.aborted) throw new Error(`${url} does not answer`, { cause: error })
      await delay(20)
    }
  }
}
