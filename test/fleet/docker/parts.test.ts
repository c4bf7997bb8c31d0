import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import fc from 'fast-check'
import { createOptions, fingerprintOf, userOf } from '../../../proxy/fleet/docker/create-options.ts'
import { engineError } from '../../../proxy/fleet/docker/engine-error.ts'
import { enginePlace } from '../../../proxy/fleet/docker/engine-place.ts'
import { FrameReader } from '../../../proxy/fleet/docker/frames.ts'
import { parseImage, registryDigest, registryOf } from '../../../proxy/fleet/docker/image-name.ts'
import { MAX_LOG_LINE_BYTES, TextLines } from '../../../proxy/fleet/docker/text-lines.ts'
import { checkedMounts } from '../../../proxy/fleet/docker/volumes.ts'
import { LaunchError } from '../../../proxy/fleet/launcher.ts'
import { containerSpec } from '../../helpers/docker.ts'

describe('frames of an attached container', () => {
  it('are read however they are cut', () => {
    const frame = fc.record({ stream: fc.constantFrom(1, 2), data: fc.uint8Array({ maxLength: 50 }) })
    fc.assert(
      fc.property(fc.array(frame, { maxLength: 20 }), fc.array(fc.nat(20), { minLength: 1 }), (frames, cuts) => {
        const wire = Buffer.concat(frames.map(({ stream, data }) => Buffer.concat([header(stream, data.length), data])))
        const got: Record<number, Buffer[]> = { 1: [], 2: [] }
        const reader = new FrameReader({
          onStdout: chunk => got[1]?.push(Buffer.from(chunk)),
          onStderr: chunk => got[2]?.push(Buffer.from(chunk)),
        })
        for (let at = 0, i = 0; at < wire.length; i++) {
          const size = 1 + (cuts[i % cuts.length] ?? 0)
          reader.push(wire.subarray(at, at + size))
          at += size
        }
        for (const stream of [1, 2]) {
          const sent = frames.filter(one => one.stream === stream).map(one => one.data)
          assert.deepEqual(Buffer.concat(got[stream] ?? []), Buffer.concat(sent))
        }
      }),
    )
  })

  it('are refused when they are none', () => {
    const reader = new FrameReader({ onStdout() {}, onStderr() {} })
    assert.throws(() => reader.push(Buffer.from('{"jsonrpc":"2.0"}')), /no multiplexed stream/)
  })
})

describe('lines of a log', () => {
  it('are cut at line breaks and at 8 KiB, wherever chunks end', () => {
    const lines: string[] = []
    const text = new TextLines(line => lines.push(line))
    for (const chunk of ['a', 'b\r\n\nc\n', 'x'.repeat(MAX_LOG_LINE_BYTES), 'yyy', '\nlast'])
      text.push(Buffer.from(chunk))
    text.end()
    assert.deepEqual(lines, ['ab', 'c', 'x'.repeat(MAX_LOG_LINE_BYTES), 'last'])
  })
})

describe('names of images', () => {
  it('are taken apart', () => {
    const digest = `sha256:${'a'.repeat(64)}`
    assert.deepEqual(parseImage('kb'), { repository: 'kb', tag: '', digest: '' })
    assert.deepEqual(parseImage('localhost:5000/kb'), { repository: 'localhost:5000/kb', tag: '', digest: '' })
    assert.deepEqual(parseImage(`r.io:5/a/kb:1@${digest}`), { repository: 'r.io:5/a/kb', tag: '1', digest })
    assert.deepEqual(['kb', 'mcp/kb:1', 'ghcr.io/mcp/kb', 'localhost/kb', 'r:5/kb'].map(registryOf), [
      'docker.io',
      'docker.io',
      'ghcr.io',
      'localhost',
      'r:5',
    ])
  })

  it('have the digest of their own registry', () => {
    const digests = ['other/kb@sha256:1', 'mcp/kb@sha256:2', 'ghcr.io/mcp/kb@sha256:3']
    assert.equal(registryDigest('docker.io/mcp/kb:1', digests), 'mcp/kb@sha256:2')
    assert.equal(registryDigest('ghcr.io/mcp/kb', digests), 'ghcr.io/mcp/kb@sha256:3')
    assert.equal(registryDigest('mine/kb', digests), null)
  })
})

describe('the place of an engine', () => {
  it('is the configured one, that of the environment, or the usual one', () => {
    assert.equal(enginePlace('/x.sock', { DOCKER_HOST: 'tcp://h' }).socketPath, '/x.sock')
    assert.equal(enginePlace('', { DOCKER_HOST: 'unix:///y.sock' }).socketPath, '/y.sock')
    const { host, port, tls, text } = enginePlace('', { DOCKER_HOST: 'tcp://docker:1234' })
    assert.deepEqual([host, port, tls, text], ['docker', 1234, null, 'docker:1234'])
    assert.equal(enginePlace('', { DOCKER_HOST: 'docker' }).port, 2375)
    assert.match(enginePlace('', {}).socketPath, /docker\.sock$/)
  })

  it('is an error that names the variable when it makes no sense', () => {
    assert.throws(() => enginePlace('', { DOCKER_HOST: 'ssh://me@h' }), /^Error: DOCKER_HOST: expected unix:.*ssh/)
    const env = { DOCKER_HOST: 'tcp://h', DOCKER_TLS_VERIFY: '1', DOCKER_CERT_PATH: '/nowhere' }
    assert.throws(
      () => enginePlace('', env),
      /DOCKER_CERT_PATH: ca\.pem, cert\.pem and key\.pem are needed in \/nowhere/,
    )
  })
})

describe('errors of an engine', () => {
  it('say what is wrong and what to do', () => {
    const error = (cause: object, ms = 0) => engineError(Object.assign(new Error('x'), cause), 'list', '/d.sock', ms)
    const gone = error({ code: 'ECONNREFUSED' })
    assert.equal(gone.message, 'the Docker engine at /d.sock cannot be reached (ECONNREFUSED): is it running?')
    const forbidden = error({ code: 'EACCES' })
    assert.equal(forbidden.trouble, 'forbidden')
    assert.match(
      forbidden.message,
      /^no permission to use the Docker engine at \/d\.sock: run as a member of the group/,
    )
    assert.match(error({}, 30_000).message, /^list: the Docker engine at \/d\.sock gave no answer for 30000 ms$/)
    assert.equal(error({ statusCode: 409, json: { message: ' taken\n already ' } }).message, 'list: taken already')
  })
})

describe('volumes', () => {
  it('are shown from where they really are, when that is allowed', t => {
    const { dir, mount } = setUp(t)
    mkdirSync(join(dir, 'data', 'inner'), { recursive: true })
    symlinkSync(join(dir, 'data'), join(dir, 'link'))
    const real = realpathSync(join(dir, 'data', 'inner'))
    assert.equal(mount(join(dir, 'data', 'inner')).Source, real)
    assert.equal(mount(join(dir, 'link', 'inner')).Source, real, 'what was checked is mounted')
    assert.deepEqual(mount('cache', 'named'), { Type: 'volume', Source: 'cache', Target: '/x', ReadOnly: true })
  })

  it('are refused outside, through links too', t => {
    const { dir, mount, refused } = setUp(t)
    mkdirSync(join(dir, 'data'))
    mkdirSync(join(dir, 'data-not'))
    symlinkSync('/etc', join(dir, 'data', 'way-out'))
    assert.match(refused(join(dir, 'data-not')), /outside of fleet\.allowed_host_paths$/)
    assert.match(refused(join(dir, 'data', '..', 'data-not')), /outside/)
    assert.match(refused(join(dir, 'data', 'way-out')), /outside of fleet\.allowed_host_paths \(it leads to \/etc\)$/)
    assert.match(refused(join(dir, 'data', 'nothing')), /there is no such path$/)
    assert.equal(mount(join(dir, 'data')).Type, 'bind')
  })

  it('never show the socket of an engine', async t => {
    const { dir, refused } = setUp(t)
    mkdirSync(join(dir, 'data', 'run'), { recursive: true })
    const socket = join(dir, 'data', 'run', 'docker.sock')
    const server = createServer().listen(socket)
    t.after(() => void server.close())
    await new Promise(resolve => server.once('listening', resolve))
    for (const path of [socket, join(dir, 'data', 'run'), join(dir, 'data')]) {
      assert.match(refused(path, socket), /it shows the socket of a container engine$/)
    }
    assert.match(refused(socket), /it is a socket$/)
    assert.match(refused('/', socket, ['/']), /it shows the socket of a container engine$/)
  })

  it('of a host that is another machine are refused', t => {
    const { dir, refused } = setUp(t)
    mkdirSync(join(dir, 'data'))
    assert.match(refused(join(dir, 'data'), ''), /may be another machine$/)
  })
})

describe('users of containers', () => {
  it('are not root unless somebody says so', () => {
    const user = (given: string, own: string): string => userOf({ user: given }, { user: own })
    for (const own of ['', 'root', '0', '0:0', 'node', '00', '0:5']) assert.equal(user('', own), '65534:65534', own)
    assert.equal(user('', '1000'), '1000')
    assert.equal(user('', '1000:0'), '1000:0')
    assert.equal(user('0', ''), '0')
    assert.equal(user('node', '1000'), 'node')
  })
})

describe('what a container is made of', () => {
  const parts = {
    name: 'sluice-kb-1',
    image: { reference: 'kb', user: '', variables: new Set(['PATH']) },
    labels: { 'sluice.server': 'kb' },
    mounts: [],
    fileEnv: { KEY_FILE: '/k', B: 'b' },
    secretEnv: { TOKEN: 'x' },
    network: 'none',
    isPublished: false,
  }

  it('has a home to write to, where nobody says otherwise', () => {
    const env = (image: object, given: Record<string, string>): readonly string[] =>
      createOptions({ ...containerSpec('kb'), env: given }, { ...parts, image: { ...parts.image, ...image } }).Env ?? []
    assert.deepEqual(env({}, { B: '1' }), ['KEY_FILE=/k', 'B=1', 'TOKEN=x', 'HOME=/tmp'])
    assert.deepEqual(env({}, { HOME: '/h' }), ['KEY_FILE=/k', 'B=b', 'HOME=/h', 'TOKEN=x'])
    assert.deepEqual(env({ variables: new Set(['HOME']) }, { HOME: '' }), ['KEY_FILE=/k', 'B=b', 'HOME=', 'TOKEN=x'])
    assert.deepEqual(env({ user: '1000' }, {}), ['KEY_FILE=/k', 'B=b', 'TOKEN=x'])
  })

  it('is told by its fingerprint, whatever the order of keys', () => {
    const spec = containerSpec('kb')
    const print = fingerprintOf(spec, ['b', 'a'])
    assert.match(print, /^[0-9a-f]{32}$/)
    assert.equal(fingerprintOf(Object.fromEntries(Object.entries(spec).reverse()) as never, ['a', 'b']), print)
    for (const rest of [{ image: 'kb:2' }, { env: { A: '1' } }, { cpus: 2 }, { args: ['x'] }]) {
      assert.notEqual(fingerprintOf({ ...spec, ...rest }, ['a', 'b']), print)
    }
    assert.notEqual(fingerprintOf(spec, ['a']), print)
  })
})

function header(stream: number, length: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes[0] = stream
  bytes.writeUInt32BE(length, 4)
  return bytes
}

function setUp(t: TestContext) {
  const dir = realpathSync(mkdtempSync(join(tmpdir(), 'sluice-volumes-')))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const other = join(dir, 'elsewhere.sock')
  writeFileSync(other, '')
  const mount = (
    source: string,
    kind: 'host' | 'named' = 'host',
    socketPath = other,
    allowed = [join(dir, 'data')],
  ) => {
    const [made] = checkedMounts([{ kind, source, target: '/x', readOnly: true }], allowed, { socketPath, text: 'h:1' })
    return made as NonNullable<typeof made>
  }
  const refused = (source: string, socketPath = other, allowed?: string[]): string => {
    try {
      mount(source, 'host', socketPath, allowed)
    } catch (error) {
      assert.ok(error instanceof LaunchError && error.permanent)
      return error.message
    }
    return assert.fail(`${source} was mounted`)
  }
  return { dir, mount, refused }
}
