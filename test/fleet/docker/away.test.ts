import assert from 'node:assert/strict'
import { before, describe, it } from 'node:test'
import { DockerReplicaSource } from '../../../proxy/fleet/discover/docker.ts'
import { ContainerLauncher } from '../../../proxy/fleet/docker/container-launcher.ts'
import { ContainerOpener } from '../../../proxy/fleet/docker/container-opener.ts'
import type { Ended } from '../../../proxy/fleet/launcher.ts'
import { containerOptions, containerSpec, replicaId, testImage } from '../../helpers/docker.ts'
import { type Daemon, NEEDS_DAEMON, startDaemon } from '../../helpers/docker-daemon.ts'
import { Places } from '../../helpers/places.ts'
import { deferred, suiteScope, within } from '../../helpers/scope.ts'

const LABEL = 'sluice-test=away'

describe('an engine that goes away', NEEDS_DAEMON, () => {
  const scope = suiteScope()
  let daemon: Daemon
  let image: string
  before(async () => {
    daemon = await startDaemon(scope, ['--live-restore'])
    image = await testImage(daemon.engine)
  })

  it('ends no server that lives on, and is heard of again', async t => {
    const { engine } = daemon
    const spec = containerSpec(image, { port: 3000, network: 'internal', labels: { 'sluice-test': 'away' } })
    const options = containerOptions(t, spec, { engine })
    const instance = await new ContainerLauncher(options).launch(replicaId(), AbortSignal.timeout(30_000))
    const ended = deferred<Ended>()
    instance.ended.then(ended.resolve)
    const places = new Places(new DockerReplicaSource(found('away'), engine), t)
    await places.until(1)
    assert.equal(places.last[0]?.url, instance.url.replace('localhost', '127.0.0.1'))

    await daemon.stop()
    await places.untilTrouble(/^the Docker engine at .* cannot be reached \(ECONNREFUSED|ENOENT\): is it running\?$/)
    assert.equal(places.last.length, 1, 'the last list holds')
    assert.equal((await fetch(instance.url, { method: 'POST', body: PING })).status, 200, 'it is served meanwhile')
    assert.equal(await instance.usage(), null)
    assert.equal(await instance.selfCheck(), null)

    await daemon.start()
    await places.untilTrouble(/^$/)
    await engine.docker.getContainer(instance.handle).kill()
    const { reason } = await within(ended.promise, 'its end', 30_000)
    assert.equal(reason, 'ended by SIGKILL')
    await places.until(0)
  })

  it('tells of ends that came while it was away', async t => {
    const { engine } = daemon
    const options = containerOptions(t, containerSpec(image, { port: 3000, network: 'internal' }), { engine })
    const instance = await new ContainerLauncher(options).launch(replicaId(), AbortSignal.timeout(30_000))
    const { Pid } = (await engine.docker.getContainer(instance.handle).inspect()).State
    await daemon.stop()
    process.kill(Pid, 'SIGKILL')
    await daemon.start()
    const { signal } = await within(instance.ended, 'its end', 30_000)
    assert.equal(signal, 'SIGKILL')
  })

  it('cuts off a server over stdio, which ends its channel', async t => {
    const { engine } = daemon
    const options = containerOptions(t, containerSpec(image, { args: ['/stdio.mjs'] }), { engine })
    const listener = { onData() {}, onDrain() {}, onStderr() {} }
    const channel = await new ContainerOpener(options).open(replicaId(), listener, AbortSignal.timeout(30_000))
    await daemon.stop()
    const { reason } = await within(channel.ended, 'its end', 30_000)
    assert.match(reason, /^(the connection with it broke|ended|stopped)/)
    assert.equal(channel.write(Buffer.from('{}\n')), true, 'nobody waits for a drain that never comes')
    await daemon.start()
  })

  it('makes a start fail for now, not for good', async t => {
    const { engine } = daemon
    const launcher = new ContainerLauncher(containerOptions(t, containerSpec(image, { port: 3000 }), { engine }))
    await daemon.stop()
    await assert.rejects(launcher.launch(replicaId(), AbortSignal.timeout(30_000)), error => {
      assert.match((error as Error).message, /cannot be reached/)
      return !(error as { permanent: boolean }).permanent
    })
    await assert.rejects(launcher.reap(), /cannot be reached/)
    await daemon.start()
  })

  function found(value: string) {
    const [label] = [LABEL.replace('away', value)]
    return { kind: 'docker', label, service: '', port: 3000, path: '/mcp', network: '' } as const
  }
})

const PING = '{"jsonrpc":"2.0","id":1,"method":"ping"}'
