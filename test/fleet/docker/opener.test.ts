import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { ContainerOpener } from '../../../proxy/fleet/docker/container-opener.ts'
import type { ContainerOptions } from '../../../proxy/fleet/docker/start.ts'
import type { StdioChannel } from '../../../proxy/fleet/stdio-channel.ts'
import { containerOptions, ENGINE, NEEDS_DOCKER, ownContainers, replicaId, stdioSpec } from '../../helpers/docker.ts'
import { until, within } from '../../helpers/scope.ts'

const MIB = 1024 * 1024

describe('a container over stdio', NEEDS_DOCKER, () => {
  it('is answered line by line, and logs beside', async t => {
    const server = await Server.open(containerOptions(t, await stdioSpec()))
    assert.equal(await server.call('echo', { text: 'hello' }), 'hello')
    await server.call('say', { text: 'to the log' })
    await until(() => server.errors.includes('to the log'), 'a line of its standard error')
    assert.equal(server.errors[0], 'ready')
    const { state, options } = await server.inspect()
    assert.equal(state, 'running')
    assert.equal(options.LogConfig.Type, 'none', 'messages are not kept on the disk of the engine')
  })

  it('takes and gives messages of many frames', async t => {
    const server = await Server.open(containerOptions(t, await stdioSpec()))
    // Separators that are no line breaks, and characters of several bytes that frames cut in two.
    const text = '\u2028é😀'.repeat(400_000)
    assert.equal(await server.call('echo', { text }), text)
    assert.ok(server.wasFull, 'a write told that the buffer was full')
    assert.ok(server.drains > 0, 'and a drain that it is not any more')
  })

  it('holds back what nobody wants to read', async t => {
    const server = await Server.open(containerOptions(t, await stdioSpec()))
    assert.equal(await server.call('echo', { text: 'x' }), 'x')
    server.channel.pause()
    const answer = server.call('write', { path: '/tmp/done' })
    await server.runs([
      '/node',
      '-e',
      'while (!fs.existsSync("/tmp/done")) Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)',
    ])
    assert.equal(server.pending, 1, 'it was done, and the answer waits')
    server.channel.resume()
    assert.equal(await answer, 'written')
  })

  it('has no network, no rights and no place to write to', async t => {
    const server = await Server.open(containerOptions(t, await stdioSpec()))
    assert.equal(await server.call('whoami'), '65534:65534')
    assert.equal(await server.call('networks'), 'lo')
    assert.equal(await server.call('write', { path: '/tmp/x' }), 'written')
    assert.match(await server.fail('write', { path: '/x' }), /EROFS/)
    const status = await server.call('read', { path: '/proc/self/status' })
    assert.match(status, /^CapBnd:\s+0000000000000000$/m)
    assert.match(status, /^NoNewPrivs:\s+1$/m)
    assert.match(status, /^Seccomp:\s+2$/m)
    assert.equal(await server.call('env', { name: 'HOME' }), '/tmp')
  })

  it('ends when its input does, and is removed', async t => {
    const options = containerOptions(t, await stdioSpec())
    const server = await Server.open(options)
    await server.channel.stop(10_000)
    assert.deepEqual(await server.channel.ended, { code: 0, signal: null, oomKilled: false, reason: 'stopped' })
    assert.deepEqual(await ownContainers(options), [])
  })

  it('is killed when neither that nor a signal ends it', async t => {
    const server = await Server.open(containerOptions(t, await stdioSpec({ env: { STUBBORN: '1' } })))
    await server.channel.stop(200)
    const ended = await server.channel.ended
    assert.equal(ended.signal, 'SIGKILL')
    assert.equal(ended.reason, 'killed: it did not stop in time')
    assert.ok(server.errors.includes('not yet'), 'it was asked first')
  })

  it('tells its exit code', async t => {
    const server = await Server.open(containerOptions(t, await stdioSpec()))
    server.send('exit', { code: 3 })
    const ended = await within(server.channel.ended, 'its end')
    assert.deepEqual(ended, { code: 3, signal: null, oomKilled: false, reason: 'ended with exit code 3' })
  })

  it('tells that it was killed, with its last words', async t => {
    const server = await Server.open(containerOptions(t, await stdioSpec()))
    await server.call('say', { text: 'last words' })
    await ENGINE.docker.getContainer(server.channel.handle).kill()
    const ended = await within(server.channel.ended, 'its end')
    assert.equal(ended.reason, 'ended by SIGKILL')
    assert.equal(ended.oomKilled, false)
    assert.ok(server.errors.includes('last words'))
    assert.equal(await server.channel.usage(), null)
  })

  it('tells that it ran out of memory', async t => {
    const server = await Server.open(containerOptions(t, await stdioSpec({ memoryBytes: 64 * MIB })))
    server.send('eat', { mebibytes: 200 })
    const ended = await within(server.channel.ended, 'its end', 30_000)
    assert.equal(ended.oomKilled, true)
    assert.equal(ended.reason, 'killed for lack of memory: it may use 64MiB')
  })

  it('tells what it uses', async t => {
    const server = await Server.open(containerOptions(t, await stdioSpec()))
    await server.call('eat', { mebibytes: 20 })
    const usage = await server.channel.usage()
    assert.ok(usage !== null && usage.memoryBytes > 20 * MIB && usage.memoryBytes < 128 * MIB, JSON.stringify(usage))
    assert.ok(usage.cpuSeconds > 0 && usage.cpuSeconds < 60)
  })

  it('has its secrets in files of memory that nobody else sees', async t => {
    const secrets = { files: new Map([['token', Buffer.from('hunter2\n')]]), env: { LEVEL: 'swordfish' } }
    const options = containerOptions(t, await stdioSpec(), { secrets: async () => secrets })
    const server = await Server.open(options)
    assert.equal(await server.call('read', { path: '/run/secrets/token' }), 'hunter2\n')
    assert.equal(await server.call('env', { name: 'TOKEN_FILE' }), '/run/secrets/token')
    assert.equal(await server.call('env', { name: 'LEVEL' }), 'swordfish')
    assert.match(await server.fail('write', { path: '/run/secrets/other' }), /EROFS/)
    const mounts = await server.call('read', { path: '/proc/mounts' })
    assert.match(mounts, /^tmpfs \/run\/secrets tmpfs ro,/m)
    const seen = JSON.stringify(await ENGINE.docker.getContainer(server.channel.handle).inspect())
    assert.ok(!seen.includes('hunter2'), 'not in docker inspect')
    assert.ok(seen.includes('swordfish'), 'a variable is')
    await server.channel.stop(10_000)
    assert.deepEqual(await ownContainers(options), [])
    assert.deepEqual(await ownVolumes(options), [])
  })
})

describe('a start that fails', NEEDS_DOCKER, () => {
  it('says that there is no such program', async t => {
    const options = containerOptions(t, await stdioSpec({ entrypoint: ['/no-such-program'] }))
    await assert.rejects(open(options), error => {
      assert.match((error as Error).message, /^start a container of sluice-test.*no-such-program.*no such file/)
      return (error as { permanent: boolean }).permanent
    })
    assert.deepEqual(await ownContainers(options), [])
  })

  it('leaves nothing behind, secrets neither', async t => {
    const secrets = { files: new Map([['token', Buffer.from('hunter2')]]), env: {} }
    const spec = await stdioSpec({ network: 'no-such-network' })
    const options = containerOptions(t, spec, { secrets: async () => secrets })
    await assert.rejects(open(options), /no-such-network not found/)
    assert.deepEqual(await ownContainers(options), [])
    assert.deepEqual(await ownVolumes(options), [])
  })

  it('can be called off', async t => {
    const options = containerOptions(t, await stdioSpec())
    const reason = new Error('no longer wanted')
    await assert.rejects(open(options, AbortSignal.abort(reason)), reason)
    assert.deepEqual(await ownContainers(options), [])
    // At any moment: nothing is left when it has rejected.
    for (const delayMs of [5, 20, 60, 120, 200]) {
      await open(options, AbortSignal.timeout(delayMs)).then(
        channel => channel.stop(0),
        () => {},
      )
      assert.deepEqual(await ownContainers(options), [], `called off after ${delayMs} ms`)
    }
  })

  it('says which volume it may not show', async t => {
    const volumes = [{ kind: 'host', source: '/etc', target: '/x', readOnly: true }] as const
    const options = containerOptions(t, await stdioSpec({ volumes }))
    await assert.rejects(
      open(options),
      /the volume \/etc may not be mounted: it is outside of fleet.allowed_host_paths/,
    )
  })
})

const SILENT = { onData() {}, onDrain() {}, onStderr() {} }

function open(options: ContainerOptions, signal = AbortSignal.timeout(30_000)): Promise<StdioChannel> {
  return new ContainerOpener(options).open(replicaId(), SILENT, signal)
}

async function ownVolumes({ whose }: ContainerOptions): Promise<unknown[]> {
  const label = [`sluice.instance=${whose.instance}`]
  return (await ENGINE.docker.listVolumes({ filters: { label } as never })).Volumes ?? []
}

interface Answer {
  readonly id: number
  readonly result?: { readonly content: readonly [{ readonly text: string }] }
  readonly error?: { readonly message: string }
}

/** A client of the server in the container. */
class Server {
  readonly errors: string[] = []
  channel!: StdioChannel
  wasFull = false
  drains = 0
  readonly #answers = new Map<number, (answer: Answer) => void>()
  #held: Buffer[] = []
  #lastId = 0

  static async open(options: ContainerOptions): Promise<Server> {
    const server = new Server()
    const listener = {
      onData: (chunk: Buffer) => server.#read(chunk),
      onDrain: () => server.drains++,
      onStderr: (line: string) => server.errors.push(line),
    }
    server.channel = await new ContainerOpener(options).open(replicaId(), listener, AbortSignal.timeout(30_000))
    return server
  }

  get pending(): number {
    return this.#answers.size
  }

  send(name: string, args: Record<string, unknown> = {}): number {
    const id = ++this.#lastId
    const line = JSON.stringify({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } })
    if (!this.channel.write(Buffer.from(`${line}\n`))) this.wasFull = true
    return id
  }

  async call(name: string, args: Record<string, unknown> = {}): Promise<string> {
    const answer = await this.#ask(name, args)
    assert.equal(answer.error, undefined)
    return answer.result?.content[0].text ?? ''
  }

  async fail(name: string, args: Record<string, unknown> = {}): Promise<string> {
    return (await this.#ask(name, args)).error?.message ?? ''
  }

  async inspect(): Promise<{ state: string; options: { LogConfig: { Type: string } } }> {
    const info = await ENGINE.docker.getContainer(this.channel.handle).inspect()
    return { state: info.State.Status, options: info.HostConfig as never }
  }

  /** Runs another program in the container to its end. */
  async runs(command: string[]): Promise<void> {
    const options = { Cmd: command, AttachStdout: true }
    const exec = await ENGINE.docker.getContainer(this.channel.handle).exec(options)
    const output = await exec.start({})
    output.resume()
    await within(once(output, 'end'), 'the end of a program in the container')
    assert.equal((await exec.inspect()).ExitCode, 0)
  }

  #ask(name: string, args: Record<string, unknown>): Promise<Answer> {
    const answer = new Promise<Answer>(resolve => this.#answers.set(this.#lastId + 1, resolve))
    this.send(name, args)
    return within(answer, `an answer to ${name}`, 30_000)
  }

  #read(chunk: Buffer): void {
    this.#held.push(chunk)
    if (!chunk.includes(10)) return
    const lines = Buffer.concat(this.#held).toString().split('\n')
    this.#held = [Buffer.from(lines.pop() ?? '')]
    for (const line of lines) {
      const answer = JSON.parse(line) as Answer
      this.#answers.get(answer.id)?.(answer)
      this.#answers.delete(answer.id)
    }
  }
}
