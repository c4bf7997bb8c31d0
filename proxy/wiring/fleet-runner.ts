import { createHash } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import type { Config, ServerConfig } from '../config/config.ts'
import type { ReplicaSecrets } from '../credentials/keeper.ts'
import { DnsReplicaSource } from '../fleet/discover/dns.ts'
import { DockerReplicaSource } from '../fleet/discover/docker.ts'
import { Fleet } from '../fleet/fleet.ts'
import type { Launcher } from '../fleet/launcher.ts'
import type { ReplicaSource } from '../fleet/source.ts'
import type { ProcessSource, ServerSpec } from '../fleet/spec.ts'
import type { ServerPlaces } from '../upstream/replica-table.ts'
import { containerLauncher, type Engine, openEngine } from './containers.ts'
import { processLauncher } from './processes.ts'

/** Where what replicas get in secret comes from. */
export interface SecretSource {
  replicaSecrets(server: string): ReplicaSecrets
  onReplicaChange(listener: (server: string) => void): () => void
}

export interface FleetRunnerOptions {
  readonly config: Config
  readonly secrets: SecretSource
  onPlaces(places: ServerPlaces): void
}

/** The fleet of this proxy, made of a configuration, and following it. */
export class FleetRunner {
  readonly fleet: Fleet
  readonly #maker: Maker
  readonly #stopListening: () => void

  private constructor(fleet: Fleet, maker: Maker, stopListening: () => void) {
    this.fleet = fleet
    this.#maker = maker
    this.#stopListening = stopListening
  }

  /** @throws Error when `fleet.instance` belongs to a living proxy */
  static async open({ config, secrets, onPlaces }: FleetRunnerOptions): Promise<FleetRunner> {
    const maker = new Maker(config, secrets)
    const fleet = await Fleet.create(specsOf(config), {
      makers: maker,
      clock: systemClock,
      onPlaces,
      stateDir: config.stateDir,
      instance: config.fleet.instance,
      key: keyOf(config),
      drainMs: config.timeouts.drainMs,
    })
    const stop = secrets.onReplicaChange(server => void fleet.restart(server))
    return new FleetRunner(fleet, maker, stop)
  }

  /** Rejects when a server cannot be had; then everything stays as it is. */
  apply(config: Config): Promise<void> {
    this.#maker.config = config
    return this.fleet.apply(specsOf(config))
  }

  async close(): Promise<void> {
    this.#stopListening()
    await this.fleet.close()
    await this.#maker.close()
  }
}

function specsOf(config: Config): ServerSpec[] {
  return config.servers.map(({ name, source, life }) => ({ name, source, life }))
}

/** The same file on the same port is the same proxy, started again. */
function keyOf({ file, listen }: Config): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([file, listen]))
    .digest('hex')
  return `sluice-${digest.slice(0, 8)}`
}

/** Makes launchers and sources as the configuration in use says. */
class Maker {
  config: Config
  readonly #secrets: SecretSource
  #engine: Engine | null = null
  /** Folder of secret files of processes; `''` = none was needed. */
  #files = ''

  constructor(config: Config, secrets: SecretSource) {
    this.config = config
    this.#secrets = secrets
  }

  launcher(spec: ServerSpec, instance: string): Launcher {
    const server = this.#server(spec.name)
    const secrets = (): ReplicaSecrets => this.#secrets.replicaSecrets(spec.name)
    if (spec.source.kind === 'image') {
      return containerLauncher({ engine: this.#engineFor(), server, config: this.config, instance, secrets })
    }
    const files = join(this.config.stateDir, 'fleet', `${instance}.files`, spec.name)
    return processLauncher({
      server,
      source: spec.source as ProcessSource,
      socketDir: this.config.stateDir,
      secrets: () => this.#written(secrets(), files),
    })
  }

  source({ source }: ServerSpec): ReplicaSource {
    if (source.kind === 'dns') return new DnsReplicaSource(source)
    if (source.kind === 'docker') return new DockerReplicaSource(source, this.#engineFor().engine)
    throw new TypeError(`nothing to find: ${source.kind}`)
  }

  async close(): Promise<void> {
    if (this.#files !== '') await rm(this.#files, { recursive: true, force: true })
  }

  #server(name: string): ServerConfig {
    const server = this.config.servers.find(one => one.name === name)
    if (server === undefined) throw new TypeError(`no server "${name}"`)
    return server
  }

  #engineFor(): Engine {
    this.#engine ??= openEngine(this.config)
    return this.#engine
  }

  /** Secret files of a process, readable by its user alone; `NAME_FILE` says where each is. */
  async #written({ env, files }: ReplicaSecrets, dir: string): Promise<Record<string, string>> {
    const own: Record<string, string> = { ...env }
    if (files.size === 0) return own
    this.#files = join(dir, '..')
    await mkdir(dir, { recursive: true, mode: 0o700 })
    for (const [name, content] of files) {
      const path = join(dir, name)
      await writeFile(path, content, { mode: 0o600 })
      own[`${name.toUpperCase().replaceAll(/[^A-Z0-9]+/g, '_')}_FILE`] = path
    }
    return own
  }
}
