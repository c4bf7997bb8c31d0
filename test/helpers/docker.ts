import { spawnSync } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import type { ContainerInfo } from 'dockerode'
import { resolveContainer } from '../../proxy/config/servers/container-keys.ts'
import { fingerprintOf } from '../../proxy/fleet/docker/create-options.ts'
import { DigestLock } from '../../proxy/fleet/docker/digest-lock.ts'
import { DockerEngine } from '../../proxy/fleet/docker/engine.ts'
import { enginePlace } from '../../proxy/fleet/docker/engine-place.ts'
import { Images } from '../../proxy/fleet/docker/images.ts'
import { ownFilter } from '../../proxy/fleet/docker/labels.ts'
import { type ContainerOptions, NO_SECRETS } from '../../proxy/fleet/docker/start.ts'
import { TAR_END, tarEntry } from '../../proxy/fleet/docker/tar.ts'
import type { ContainerSpec } from '../../proxy/fleet/spec/container.ts'
import type { Scope } from './scope.ts'

/** The engine of `DOCKER_HOST`, or the one at the usual socket. */
export const ENGINE = new DockerEngine(enginePlace('', process.env))

const trouble = await ENGINE.version().then(
  () => '',
  error => (error as Error).message,
)

/** For `describe` and `it`: a machine without an engine leaves these tests out; CI must not. */
export const NEEDS_DOCKER = { skip: trouble === '' || process.env.CI !== undefined ? false : trouble }

const SCRIPTS = join(import.meta.dirname, 'docker-image')

const DOCKERFILE = `FROM scratch
COPY / /
ENTRYPOINT ["/node"]
CMD ["/http.mjs"]
`
const HEALTHY = `FROM BASE
HEALTHCHECK --interval=500ms --timeout=2s CMD ["/node", "/health.mjs"]
`

/**
 * Builds the test image, unless an engine has it: the pinned Node, the libraries it needs, and an MCP server that speaks HTTP
 * on port 3000 (arguments: none) or stdio (arguments: `/stdio.mjs`). @returns its name
 */
export async function testImage(engine: DockerEngine = ENGINE): Promise<string> {
  const files = imageFiles()
  const digest = createHash('sha256').update(DOCKERFILE).update(process.version)
  for (const { name, data } of files) if (data.length < 1024 * 1024) digest.update(name).update(data)
  const tag = `sluice-test/node:${digest.digest('hex').slice(0, 16)}`
  if (!(await has(engine, tag))) await build(engine, tag, DOCKERFILE, files)
  return tag
}

/** The same with a HEALTHCHECK. */
export async function healthyImage(engine: DockerEngine = ENGINE): Promise<string> {
  const base = await testImage(engine)
  const tag = base.replace('/node:', '/healthy:')
  if (!(await has(engine, tag))) await build(engine, tag, HEALTHY.replace('BASE', base), [])
  return tag
}

interface ImageFile {
  readonly name: string
  readonly data: Buffer
  readonly mode: number
}

function imageFiles(): ImageFile[] {
  const node = nodeBinary()
  const libraries = spawnSync('ldd', [node], { encoding: 'utf8' }).stdout.matchAll(/(\/\S+) \(0x/g)
  const binaries = [...libraries].map(([, path = '']) => ({
    name: path.slice(1),
    data: readFileSync(path),
    mode: 0o755,
  }))
  const scripts = readdirSync(SCRIPTS).map(name => ({ name, data: readFileSync(join(SCRIPTS, name)), mode: 0o644 }))
  return [{ name: 'node', data: readFileSync(node), mode: 0o755 }, ...binaries, ...scripts]
}

/** A specification with every default, for an image. */
export function containerSpec(image: string, rest: Partial<ContainerSpec> = {}): ContainerSpec {
  const raw = { image, transport: 'stdio', path: '/mcp', env: {} } as const
  const spec = resolveContainer(raw, path => path)
  if (spec === null) throw new Error('no image')
  // Small, and quick to stop: a test may run many.
  return { ...spec, memoryBytes: 128 * 1024 * 1024, ...rest }
}

/** The test image that speaks stdio. */
export async function stdioSpec(rest: Partial<ContainerSpec> = {}): Promise<ContainerSpec> {
  return containerSpec(await testImage(), { args: ['/stdio.mjs'], ...rest })
}

/** The test image that speaks HTTP. */
export async function httpSpec(rest: Partial<ContainerSpec> = {}): Promise<ContainerSpec> {
  return containerSpec(await testImage(), { port: 3000, ...rest })
}

/** What launcher and opener need, for a server `kb` of an instance of its own; with `scope` all of that goes. */
export function containerOptions(
  scope: Scope,
  spec: ContainerSpec,
  rest: Partial<ContainerOptions> = {},
): ContainerOptions {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-images-'))
  const engine = rest.engine ?? ENGINE
  const options = {
    engine,
    images: new Images(engine, new DigestLock(join(dir, 'images.lock.json')), { DOCKER_CONFIG: dir }),
    spec,
    whose: { instance: `test-${randomBytes(4).toString('hex')}`, server: 'kb' },
    fingerprint: fingerprintOf(spec, []),
    allowedHostPaths: [],
    secrets: async () => NO_SECRETS,
    ...rest,
  }
  scope.after(async () => {
    rmSync(dir, { recursive: true, force: true })
    for (const { Id } of await ownContainers(options).catch(() => [])) {
      await engine.docker
        .getContainer(Id)
        .remove({ force: true, v: true })
        .catch(() => {})
    }
  })
  return options
}

/** All containers of a server, whatever their state. */
export function ownContainers({ engine, whose }: Pick<ContainerOptions, 'engine' | 'whose'>): Promise<ContainerInfo[]> {
  return engine.docker.listContainers({ all: true, filters: ownFilter(whose) })
}

/** An id of a replica that is nobody else's. */
export function replicaId(): string {
  return `kb-${randomBytes(5).toString('hex')}`
}

/** The real program behind node_modules/.bin/node: there it may be a script. */
function nodeBinary(): string {
  const name = `node-${process.platform}-${process.arch}`
  try {
    return realpathSync(join(dirname(createRequire(import.meta.url).resolve(`${name}/package.json`)), 'bin', 'node'))
  } catch {
    return realpathSync(process.execPath)
  }
}

async function has(engine: DockerEngine, tag: string): Promise<boolean> {
  return engine.docker
    .getImage(tag)
    .inspect()
    .then(
      () => true,
      () => false,
    )
}

async function build(
  engine: DockerEngine,
  tag: string,
  dockerfile: string,
  files: readonly ImageFile[],
): Promise<void> {
  const all = [{ name: 'Dockerfile', data: Buffer.from(dockerfile), mode: 0o644 }, ...files]
  const entries = all.map(file => tarEntry({ ...file, uid: 0, gid: 0 }))
  const output = await engine.docker.buildImage(Readable.from([...entries, TAR_END]), { t: tag })
  let said = ''
  for await (const chunk of output) said += String(chunk)
  const failed = said.split('\n').find(line => line.includes('"error"'))
  if (failed !== undefined) throw new Error(`${tag}: ${failed}`)
}
