import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, realpathSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { Readable } from 'node:stream'
import { DockerEngine } from '../../proxy/fleet/docker/engine.ts'
import { enginePlace } from '../../proxy/fleet/docker/engine-place.ts'
import { TAR_END, tarEntry } from '../../proxy/fleet/docker/tar.ts'

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
