import { join } from 'node:path'
import type { Config, ServerConfig } from '../config/config.ts'
import type { ReplicaSecrets } from '../credentials/keeper.ts'
import { BridgeLauncher } from '../fleet/bridge/bridge-launcher.ts'
import { ContainerLauncher } from '../fleet/docker/container-launcher.ts'
import { ContainerOpener } from '../fleet/docker/container-opener.ts'
import { fingerprintOf } from '../fleet/docker/create-options.ts'
import { DigestLock } from '../fleet/docker/digest-lock.ts'
import { DockerEngine } from '../fleet/docker/engine.ts'
import { enginePlace } from '../fleet/docker/engine-place.ts'
import { Images } from '../fleet/docker/images.ts'
import type { Launcher } from '../fleet/launcher.ts'
import { OutputRedactor } from './redact.ts'

/** The Docker engine, with what is known of its images. */
export interface Engine {
  readonly engine: DockerEngine
  readonly images: Images
}

/** @throws Error that names what is wrong with `DOCKER_HOST` or its files */
export function openEngine({ fleet, stateDir }: Config): Engine {
  const engine = new DockerEngine(enginePlace(fleet.dockerSocket, process.env))
  return { engine, images: new Images(engine, new DigestLock(join(stateDir, 'images.json')), process.env) }
}

export interface ContainerParts {
  readonly engine: Engine
  readonly server: ServerConfig
  readonly config: Config
  /** The name of this proxy on the engine. */
  readonly instance: string
  readonly secrets: () => ReplicaSecrets
}

/** Runs an image: behind a bridge where it speaks over stdio. */
export function containerLauncher({ engine, server, config, instance, secrets }: ContainerParts): Launcher {
  const { container: spec } = server
  if (spec === null) throw new TypeError(`${server.name} has no image`)
  const redactor = new OutputRedactor()
  const options = {
    ...engine,
    spec,
    whose: { instance, server: server.name },
    fingerprint: fingerprintOf(spec, secretNames(config, server.name)),
    allowedHostPaths: config.fleet.allowedHostPaths,
    secrets: async () => {
      const values = secrets()
      redactor.remember([...Object.values(values.env), ...[...values.files.values()].map(textOf)])
      return values
    },
    redact: redactor.redact,
  }
  if (spec.port !== 0) return new ContainerLauncher(options)
  const opener = new ContainerOpener(options)
  return new BridgeLauncher({
    server: server.name,
    spec: server.bridge,
    opener,
    socketDir: join(config.stateDir, 'run'),
    fingerprint: `${options.fingerprint} ${JSON.stringify(server.bridge)}`,
    stopGraceMs: server.life.stopGraceMs,
    redact: redactor.redact,
    reap: () => opener.reap(),
  })
}

function secretNames({ credentials }: Config, server: string): string[] {
  const entry = credentials.servers.get(server)
  return [...(entry?.env ?? []), ...(entry?.files ?? [])].map(({ name }) => name)
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8')
}
