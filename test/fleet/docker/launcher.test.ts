import assert from 'node:assert/strict'
import { hostname } from 'node:os'
import { describe, it, type TestContext } from 'node:test'
import type { ContainerInspectInfo } from 'dockerode'
import { ContainerLauncher } from '../../../proxy/fleet/docker/container-launcher.ts'
import { DockerEngine } from '../../../proxy/fleet/docker/engine.ts'
import { enginePlace } from '../../../proxy/fleet/docker/engine-place.ts'
import { LABELS } from '../../../proxy/fleet/docker/labels.ts'
import { type ContainerOptions, NO_SECRETS } from '../../../proxy/fleet/docker/start.ts'
import { type Instance, LaunchError } from '../../../proxy/fleet/launcher.ts'
import { channels, type Output } from '../../../proxy/observe/channels.ts'
import {
  containerOptions,
  containerSpec,
  ENGINE,
  healthyImage,
  httpSpec,
  NEEDS_DOCKER,
  ownContainers,
  replicaId,
} from '../../helpers/docker.ts'
import { until, within } from '../../helpers/scope.ts'

const MIB = 1024 * 1024

describe('a container over HTTP', NEEDS_DOCKER, () => {
  it('answers at a port of 127.0.0.1, and nowhere else', async t => {
    const instance = await launch(containerOptions(t, await httpSpec()))
    assert.match(instance.url, /^http:\/\/127\.0\.0\.1:\d+\/mcp$/)
    assert.equal(await call(instance, 'echo', { text: 'hello' }), 'hello')
    const { HostConfig } = await inspect(instance)
    assert.deepEqual(HostConfig.PortBindings, { '3000/tcp': [{ HostIp: '127.0.0.1', HostPort: '' }] })
  })

  it('stops politely, and is removed', async t => {
    const options = containerOptions(t, await httpSpec())
    const instance = await launch(options)
    await call(instance, 'whoami')
    await Promise.all([instance.stop(10_000), instance.stop(10_000)])
    assert.deepEqual(await instance.ended, { code: 0, signal: null, oomKilled: false, reason: 'stopped' })
    assert.deepEqual(await ownContainers(options), [])
    await instance.stop(1)
  })

  it('gets the limits it was given', async t => {
    const spec = await httpSpec({
      cpus: 0.25,
      memoryBytes: 96 * MIB,
      memoryReservationBytes: 32 * MIB,
      pids: 40,
      capAdd: ['NET_BIND_SERVICE'],
      tmpfs: { '/tmp': MIB, '/var/cache': 2 * MIB },
      oomScoreAdj: 500,
      user: '1234:2345',
      labels: { team: 'search' },
    })
    const instance = await launch(containerOptions(t, spec))
    const { HostConfig: host, Config } = await inspect(instance)
    assert.deepEqual(
      [host.NanoCpus, host.Memory, host.MemorySwap, host.MemoryReservation, host.PidsLimit, host.OomScoreAdj],
      [250_000_000, 96 * MIB, 96 * MIB, 32 * MIB, 40, 500],
    )
    assert.deepEqual(host.CapAdd, ['NET_BIND_SERVICE'])
    assert.deepEqual(Object.keys(host.Tmpfs ?? {}), ['/tmp', '/var/cache'])
    assert.match(host.Tmpfs?.['/var/cache'] ?? '', /noexec,nosuid,nodev.*size=2097152/)
    assert.equal(Config.User, '1234:2345')
    assert.equal(Config.Labels.team, 'search')
    assert.equal(await call(instance, 'whoami'), '1234:2345')
  })

  it('gets no more than it needs where nobody says so', async t => {
    const instance = await launch(containerOptions(t, { ...(await httpSpec()), memoryBytes: 2048 * MIB }))
    const { HostConfig: host, Config } = await inspect(instance)
    assert.deepEqual(host.SecurityOpt, ['no-new-privileges:true'])
    assert.deepEqual([host.CapDrop, host.CapAdd, host.Privileged], [['ALL'], [], false])
    assert.deepEqual([host.ReadonlyRootfs, host.PidsLimit, host.NanoCpus, host.Memory], [true, 256, 1e9, 2048 * MIB])
    assert.deepEqual([Config.User, host.RestartPolicy?.Name, host.AutoRemove], ['65534:65534', 'no', false])
    assert.deepEqual(Object.keys(host.Tmpfs ?? {}), ['/tmp'])
  })

  it('is in a network that leads nowhere when it shall be', async t => {
    const options = containerOptions(t, await httpSpec({ network: 'internal' }))
    const instance = await launch(options)
    assert.doesNotMatch(instance.url, /127\.0\.0\.1/)
    assert.equal(await call(instance, 'echo', { text: 'inside' }), 'inside')
    const name = `sluice-${options.whose.instance}-kb`
    assert.equal((await ENGINE.docker.getNetwork(name).inspect()).Internal, true)
    await instance.stop(1000)
    await assert.rejects(ENGINE.docker.getNetwork(name).inspect(), /404/, 'the network went with it')
  })

  it('shows host paths that are allowed, read-only', async t => {
    const volumes = [{ kind: 'host', source: import.meta.dirname, target: '/data', readOnly: true }] as const
    const allowedHostPaths = [import.meta.dirname]
    const instance = await launch(containerOptions(t, await httpSpec({ volumes }), { allowedHostPaths }))
    assert.match(await call(instance, 'list', { path: '/data' }), /launcher\.test\.ts/)
    const { Mounts } = await inspect(instance)
    assert.deepEqual([Mounts[0]?.Type, Mounts[0]?.Source, Mounts[0]?.RW], ['bind', import.meta.dirname, false])
  })

  it('logs with server and replica', async t => {
    const outputs = listen(t)
    const redact = (line: string): string => line.replace('hunter2', '***')
    const instance = await launch(containerOptions(t, await httpSpec(), { redact }))
    await call(instance, 'say', { text: 'to the log: hunter2' })
    await until(() => outputs.some(one => one.line.startsWith('to the log')), 'a line in the log')
    assert.deepEqual(outputs.at(-1), { server: 'kb', replica: instance.id, line: 'to the log: ***' })
    assert.equal(outputs[0]?.line, 'listening', 'its standard output, too')
  })

  it('tells what it uses, and how it ended', async t => {
    const instance = await launch(containerOptions(t, await httpSpec({ memoryBytes: 64 * MIB })))
    await call(instance, 'whoami')
    const usage = await instance.usage()
    assert.ok(usage !== null && usage.memoryBytes > MIB && usage.memoryBytes <= 64 * MIB, JSON.stringify(usage))
    assert.equal(await instance.selfCheck(), null)
    await assert.rejects(call(instance, 'eat', { mebibytes: 200 }))
    const ended = await within(instance.ended, 'its end', 30_000)
    assert.equal(ended.oomKilled, true)
    assert.equal(await instance.usage(), null)
  })

  it('tells of an end from outside', async t => {
    const instance = await launch(containerOptions(t, await httpSpec()))
    await ENGINE.docker.getContainer(instance.handle).remove({ force: true })
    const { reason } = await within(instance.ended, 'its end')
    assert.match(reason, /^(ended by SIGKILL|its container was removed)$/)
  })

  it('has a HEALTHCHECK that counts', async t => {
    const spec = containerSpec(await healthyImage(), { port: 3000, cpus: 2 })
    const instance = await launch(containerOptions(t, spec))
    let said: boolean | null = null
    while (said === null) said = await instance.selfCheck()
    assert.equal(said, true)
  })
})

describe('what cannot be launched', NEEDS_DOCKER, () => {
  it('says that the image is not there, and that nobody may pull it', async t => {
    const spec = await httpSpec({ image: 'sluice-test/nobody:1', pull: 'never' })
    const error = await failure(containerOptions(t, spec))
    assert.equal(error.permanent, true)
    assert.match(error.message, /^image sluice-test\/nobody:1 is not on the Docker engine at .*, and "pull" is never$/)
  })

  it('says that the engine is not there', async t => {
    const engine = new DockerEngine(enginePlace('/nowhere/docker.sock', {}))
    const error = await failure(containerOptions(t, await httpSpec(), { engine }))
    assert.equal(error.permanent, false, 'it may come back')
    assert.equal(error.message, 'the Docker engine at /nowhere/docker.sock cannot be reached (ENOENT): is it running?')
  })

  it('says that its name is taken', async t => {
    const options = containerOptions(t, await httpSpec())
    const id = replicaId()
    await launch(options, id)
    await assert.rejects(launch(options, id), error => {
      assert.match((error as Error).message, /is already in use/)
      return error instanceof LaunchError && !error.permanent
    })
    assert.equal((await ownContainers(options)).length, 1)
  })
})

describe('reaping', NEEDS_DOCKER, () => {
  it('removes what a dead proxy left, and nothing of anybody else', async t => {
    const spec = await httpSpec()
    const secrets = async () => ({ files: new Map([['token', Buffer.from('x')]]), env: {} })
    const mine = containerOptions(t, spec, { secrets })
    const others = [
      containerOptions(t, spec),
      containerOptions(t, spec, { whose: { instance: mine.whose.instance, server: 'other' } }),
    ]
    const alive = await launch(mine)
    for (const options of others) await orphan(options)
    await orphan(mine)
    await orphan(mine)
    assert.equal(await new ContainerLauncher(mine).reap(), 2)
    assert.deepEqual(
      (await ownContainers(mine)).map(one => one.Labels[LABELS.replica]),
      [alive.id],
    )
    for (const options of others) assert.equal((await ownContainers(options)).length, 1)
    assert.equal(await call(alive, 'read', { path: '/run/secrets/token' }), 'x')
    assert.equal(await new ContainerLauncher(mine).reap(), 0)
  })

  it('leaves alone what a proxy with the same name may run elsewhere', async t => {
    const options = containerOptions(t, await httpSpec())
    const owner = (host: string): string => `${host} 7 7 00000000-0000-0000-0000-000000000000 pid:[7]`
    const proxy = await orphan(containerOptions(t, options.spec))
    const kept = [await orphan(options, owner('other-machine')), await orphan(options, owner(proxy.slice(0, 12)))]
    await orphan(options, owner('0123456789ab'))
    assert.equal(await new ContainerLauncher(options).reap(), 1, 'the one whose proxy was in a container that is gone')
    assert.deepEqual((await ownContainers(options)).map(one => one.Id).toSorted(), kept.toSorted())
  })
})

/** A process that ended before the machine began. */
const DEAD = `${hostname()} 1 1 00000000-0000-0000-0000-000000000000 pid:[1]`

/** A container as a killed proxy leaves it: it runs, and its owner does not. */
async function orphan({ engine, whose, spec }: ContainerOptions, owner = DEAD): Promise<string> {
  const Labels = {
    [LABELS.instance]: whose.instance,
    [LABELS.server]: whose.server,
    [LABELS.owner]: owner,
  }
  const options = { Image: spec.image, Labels, HostConfig: { NetworkMode: 'none' } }
  const container = await engine.docker.createContainer(options)
  await container.start()
  return container.id
}

function launch(options: ContainerOptions, id = replicaId()): Promise<Instance> {
  return new ContainerLauncher(options).launch(id, AbortSignal.timeout(30_000))
}

async function failure(options: ContainerOptions): Promise<LaunchError> {
  try {
    await launch({ ...options, secrets: async () => NO_SECRETS })
  } catch (error) {
    assert.ok(error instanceof LaunchError, String(error))
    return error
  }
  return assert.fail('it was launched')
}

function inspect(instance: Instance): Promise<ContainerInspectInfo> {
  return ENGINE.docker.getContainer(instance.handle).inspect()
}

/** Calls a tool; waits until the server listens. */
async function call(instance: Instance, name: string, args: Record<string, unknown> = {}): Promise<string> {
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args } })
  let isOver = false
  instance.ended.then(() => {
    isOver = true
  })
  for (;;) {
    try {
      const response = await fetch(instance.url, { method: 'POST', body })
      const { result, error } = (await response.json()) as { result?: { content: [{ text: string }] }; error?: unknown }
      assert.equal(error, undefined)
      return result?.content[0].text ?? ''
    } catch (error) {
      if (isOver || !isNotYet(error)) throw error
    }
    await new Promise(resolve => setTimeout(resolve, 20))
  }
}

/** Refused by the container, or closed at once by what publishes its port. */
function isNotYet(error: unknown): boolean {
  const code = (error as { cause?: { code?: string } }).cause?.code ?? ''
  return ['ECONNREFUSED', 'ECONNRESET', 'UND_ERR_SOCKET'].includes(code)
}

function listen(t: TestContext): Output[] {
  const outputs: Output[] = []
  const take = (output: unknown): void => void outputs.push(output as Output)
  channels.output.subscribe(take)
  t.after(() => void channels.output.unsubscribe(take))
  return outputs
}
