import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { toSluiceError } from '../../../proxy/upstream/failure.ts'
import { connect, type Destination } from '../../../proxy/upstream/http1/connect.ts'

const HERE: Destination = { hostname: '127.0.0.1', port: 0, socketPath: '', timeoutMs: 5_000 }

describe('a plain connection to a server', () => {
  it('is told of when it is there, also at the second address of a name', async t => {
    const port = await listen(t)
    for (const hostname of ['127.0.0.1', 'localhost']) {
      const { error, socket } = await attempt(t, { ...HERE, hostname, port })
      assert.equal(error, null)
      assert.equal(socket?.remotePort, port)
    }
  })

  it('says why there is none: nobody listens, no such socket, no such name', async t => {
    const port = await freedPort()
    assert.equal(await failure(t, { ...HERE, port }), 'ECONNREFUSED')
    assert.equal(await failure(t, { ...HERE, socketPath: join(tmpdir(), 'sluice-no-such-socket') }), 'ENOENT')
    // How long a resolver takes is its own affair.
    const nowhere = { ...HERE, hostname: 'no-such-name.invalid', port, timeoutMs: 0 }
    assert.match(await failure(t, nowhere), /^(ENOTFOUND|EAI_AGAIN)$/)
  })

  it('is given up after its time where a server takes no connections, and nothing was sent', async t => {
    const port = await fullListener(t)
    for (let tries = 0; tries < 10; tries++) {
      const { error } = await attempt(t, { ...HERE, port, timeoutMs: 300 })
      // The first ones still fit into the queue of the system.
      if (error === null) continue
      assert.equal((error as { code?: string }).code, 'UND_ERR_CONNECT_TIMEOUT')
      assert.equal(toSluiceError(error, 'github', false).code, 'upstream_unreachable')
      return
    }
    assert.fail('every connection was taken')
  })
})

interface Outcome {
  readonly error: Error | null
  readonly socket: Socket | null
}

function attempt(t: TestContext, destination: Destination): Promise<Outcome> {
  const onread = { buffer: Buffer.alloc(1024), callback: () => true }
  return new Promise((resolve, reject) => {
    let told = 0
    connect(destination, onread, (error, socket) => {
      if (++told > 1) reject(new Error('told twice'))
      t.after(() => void socket?.destroy())
      resolve({ error, socket })
    })
  })
}

async function failure(t: TestContext, destination: Destination): Promise<string> {
  const { error, socket } = await attempt(t, destination)
  assert.equal(socket, null)
  return (error as { code?: string } | null)?.code ?? ''
}

async function listen(t: TestContext): Promise<number> {
  const server = createServer(socket => socket.on('error', () => {}).resume()).listen(0, '127.0.0.1')
  t.after(() => void server.close())
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

async function freedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

/** A server that stands still: the system queues one or two connections for it and drops what comes after. */
async function fullListener(t: TestContext): Promise<number> {
  const program = `const server = require('node:net').createServer().listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => console.log(server.address().port))`
  const child = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(() => void child.kill('SIGKILL'))
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  child.kill('SIGSTOP')
  return Number(line.toString())
}
