import assert from 'node:assert/strict'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { DigestLock } from '../../../proxy/fleet/docker/digest-lock.ts'
import { Images } from '../../../proxy/fleet/docker/images.ts'
import { LaunchError } from '../../../proxy/fleet/launcher.ts'
import type { ContainerSpec } from '../../../proxy/fleet/spec/container.ts'
import { channels, type Notice } from '../../../proxy/observe/channels.ts'
import { containerSpec, ENGINE, NEEDS_DOCKER, testImage } from '../../helpers/docker.ts'
import { type ImageRegistry, startRegistry } from '../../helpers/image-registry.ts'

describe('images from a registry', NEEDS_DOCKER, () => {
  it('are pulled when they are missing, and not again', async t => {
    const { registry, images, notices } = await setUp(t)
    const spec = registry.image('1', 'first')
    await Promise.all([images.ready(spec), images.ready(spec), images.ready(spec)])
    const once = registry.asked.length
    assert.equal((await images.ready(spec)).reference, spec.image)
    assert.equal(registry.asked.length, once, 'what is there is not asked for')
    const said = notices.map(notice => notice.text)
    assert.deepEqual(said, [`pulling ${spec.image}`, `pulled ${spec.image}`], 'one pull for all three')
  })

  it('are asked for at each start where that is wanted', async t => {
    const { registry, images } = await setUp(t)
    const spec = registry.image('1', 'first', { pull: 'always' })
    const first = await images.ready(spec)
    registry.push('1', 'second')
    await images.ready(spec)
    const { RepoDigests } = await ENGINE.docker.getImage(first.reference).inspect()
    assert.equal(RepoDigests?.[0], `${registry.host}/kb@${registry.push('1', 'second')}`)
  })

  it('that are not there are a clear and lasting error', async t => {
    const { registry, images } = await setUp(t)
    const error = await failure(images, containerSpec(`${registry.host}/kb:nope`))
    assert.equal(error.permanent, true)
    assert.match(error.message, /^image 127\.0\.0\.1:\d+\/kb:nope cannot be pulled: manifest .*unknown/)
  })

  it('of a registry that is not there may come later', async t => {
    const { images } = await setUp(t)
    const error = await failure(images, containerSpec('127.0.0.1:9/kb:1'))
    assert.equal(error.permanent, false)
    assert.match(error.message, /^image 127\.0\.0\.1:9\/kb:1 cannot be pulled: .*connection refused/)
  })

  it('that need a login get that of docker login', async t => {
    const { registry, images, dir } = await setUp(t)
    const spec = registry.image('1', 'private')
    registry.login('ann', 'secret-word')
    const error = await failure(images, spec)
    assert.equal(error.permanent, true)
    const auth = Buffer.from('ann:secret-word').toString('base64')
    writeFileSync(join(dir, 'config.json'), JSON.stringify({ auths: { [registry.host]: { auth } } }))
    await images.ready(spec)
  })
})

describe('pinned images', NEEDS_DOCKER, () => {
  it('stay what they were when their tag moves', async t => {
    const { registry, images, lockFile, remake } = await setUp(t)
    const spec = registry.image('1', 'first', { pin: true, pull: 'always' })
    const first = registry.push('1', 'first')
    assert.equal((await images.ready(spec)).reference, `${registry.host}/kb@${first}`)
    assert.deepEqual(JSON.parse(readFileSync(lockFile, 'utf8')), {
      version: 1,
      images: { [spec.image]: `${registry.host}/kb@${first}` },
    })
    registry.push('1', 'second')
    assert.equal((await images.ready(spec)).reference, `${registry.host}/kb@${first}`)
    assert.equal((await remake().ready(spec)).reference, `${registry.host}/kb@${first}`, 'after a restart, too')
  })

  it('that were built here are pinned by their id', async t => {
    const { images } = await setUp(t)
    assert.match((await images.ready(containerSpec(await testImage(), { pin: true }))).reference, /^sha256:/)
  })

  it('do not run while nobody can read what they are pinned to', async t => {
    const { images, lockFile } = await setUp(t)
    writeFileSync(lockFile, '{')
    const error = await failure(images, containerSpec(await testImage(), { pin: true }))
    assert.match(error.message, /images\.lock\.json cannot be read: pinned images cannot run until it is mended/)
  })
})

describe('images that cosign vouches for', NEEDS_DOCKER, () => {
  const verify = { key: 'cosign.pub', identity: '', issuer: '' }

  it('are judged and run by digest', async t => {
    const { registry, images, dir } = await setUp(t)
    tool(dir, `echo "$@" > ${join(dir, 'asked')}`)
    const spec = registry.image('1', 'signed', { verify })
    const { reference } = await images.ready(spec)
    assert.equal(reference, `${registry.host}/kb@${registry.push('1', 'signed')}`)
    assert.equal(readFileSync(join(dir, 'asked'), 'utf8'), `verify --key cosign.pub ${reference}\n`)
  })

  it('do not run when it says no', async t => {
    const { registry, images, dir } = await setUp(t)
    tool(dir, 'echo "checking" >&2; echo "Error: no matching signatures" >&2; exit 10')
    const error = await failure(images, registry.image('1', 'unsigned', { verify }))
    assert.equal(error.permanent, true)
    assert.match(error.message, /was not run: cosign does not vouch for it: Error: no matching signatures$/)
  })

  it('do not run when it is not installed', async t => {
    const { registry, images } = await setUp(t)
    const error = await failure(images, registry.image('1', 'signed', { verify }))
    assert.match(error.message, /was not run: "verify" needs the cosign tool, which is not installed$/)
  })

  it('do not run when they came from no registry', async t => {
    const { images, dir } = await setUp(t)
    tool(dir, 'exit 0')
    const error = await failure(images, containerSpec(await testImage(), { verify }))
    assert.match(error.message, /it came from no registry, so nobody can have signed it$/)
  })
})

interface SetUp {
  readonly registry: ImageRegistry & { image(tag: string, text: string, rest?: Partial<ContainerSpec>): ContainerSpec }
  readonly images: Images
  readonly notices: readonly Notice[]
  /** Where `docker login` and tools are looked for. */
  readonly dir: string
  readonly lockFile: string
  remake(): Images
}

async function setUp(t: TestContext): Promise<SetUp> {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-images-'))
  t.after(() => rmSync(dir, { recursive: true, force: true }))
  const notices: Notice[] = []
  const take = (notice: unknown): void => void notices.push(notice as Notice)
  channels.notice.subscribe(take)
  t.after(() => void channels.notice.unsubscribe(take))
  const registry = await startRegistry(t)
  t.after(() => removeImages(registry.host))
  const image = (tag: string, text: string, rest: Partial<ContainerSpec> = {}): ContainerSpec => {
    registry.push(tag, text)
    return containerSpec(`${registry.host}/kb:${tag}`, rest)
  }
  const lockFile = join(dir, 'images.lock.json')
  const remake = (): Images => new Images(ENGINE, new DigestLock(lockFile), { DOCKER_CONFIG: dir, PATH: dir })
  return { registry: Object.assign(registry, { image }), images: remake(), notices, dir, lockFile, remake }
}

async function removeImages(host: string): Promise<void> {
  for (const { Id, RepoTags, RepoDigests } of await ENGINE.docker.listImages({ digests: true })) {
    const names = [...(RepoTags ?? []), ...(RepoDigests ?? [])]
    if (names.some(name => name.startsWith(host))) await ENGINE.docker.getImage(Id).remove({ force: true })
  }
}

function tool(dir: string, script: string): void {
  writeFileSync(join(dir, 'cosign'), `#!/bin/sh\n${script}\n`)
  chmodSync(join(dir, 'cosign'), 0o755)
}

async function failure(images: Images, spec: ContainerSpec): Promise<LaunchError> {
  try {
    await images.ready(spec)
  } catch (error) {
    assert.ok(error instanceof LaunchError, String(error))
    return error
  }
  return assert.fail('it may run')
}
