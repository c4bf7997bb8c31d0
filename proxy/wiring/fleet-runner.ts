import { createHash } from 'node:crypto'
import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { systemClock } from '../base/clock.ts'
import type { Config, ServerConfig } from '../config/config.ts'
import type { ReplicaSecrets } from '../credentials/keeper.ts'
import { Fleet } from '../fleet/fleet.ts'
import type { Launcher } from '../fleet/launcher.ts'
import type { ReplicaSource } from '../fleet/source.ts'
import type { ProcessSource, ServerSpec } from '../fleet/spec.ts'
import type { ServerPlaces } from '../upstream/replica-table.ts'
import type { Engine } from './containers.ts'

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
    const maker = new Maker(config, secrets, await loadParts(config, {}))
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
  async apply(config: Config): Promise<void> {
    this.#maker.parts = await loadParts(config, this.#maker.parts)
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

/** What brings replicas to life, or finds them. */
interface Parts {
  readonly containers?: typeof import('./containers.ts')
  readonly processes?: typeof import('./processes.ts')
  readonly dns?: typeof import('../fleet/discover/dns.ts')
  readonly docker?: typeof import('../fleet/discover/docker.ts')
}

/** Loads what a configuration needs and no more: most of it lies in a proxy of running servers unused. */
async function loadParts({ servers }: Config, loaded: Parts): Promise<Parts> {
  const kinds = new Set(servers.map(({ source }) => source.kind))
  return {
    ...loaded,
    ...(kinds.has('process') && { processes: await import('./processes.ts') }),
    ...((kinds.has('image') || kinds.has('docker')) && { containers: await import('./containers.ts') }),
    ...(kinds.has('docker') && { docker: await import('../fleet/discover/docker.ts') }),
    ...(kinds.has('dns') && { dns: await import('../fleet/discover/dns.ts') }),
  }
}

function need<Part>(part: Part | undefined): Part {
  if (part === undefined) throw new TypeError('not loaded for this configuration')
  return part
}

/** Makes launchers and sources as the configuration in use says. */
class Maker {
  config: Config
  parts: Parts
  readonly #secrets: SecretSource
  #engine: Engine | null = null
  /** Folder of secret files of processes; `''` = none was needed. */
  #files = ''

  constructor(config: Config, secrets: SecretSource, parts: Parts) {
    this.config = config
    this.parts = parts
    this.#secrets = secrets
  }

  launcher(spec: ServerSpec, instance: string): Launcher {
    const server = this.#server(spec.name)
    const secrets = (): ReplicaSecrets => this.#secrets.replicaSecrets(spec.name)
    if (spec.source.kind === 'image') {
      const { containerLauncher } = need(this.parts.containers)
      return containerLauncher({ engine: this.#engineFor(), server, config: this.config, instance, secrets })
    }
    const files = join(this.config.stateDir, 'fleet', `${instance}.files`, spec.name)
    return need(this.parts.processes).processLauncher({
      server,
      source: spec.source as ProcessSource,
      socketDir: this.config.stateDir,
      secrets: () => this.#written(secrets(), files),
    })
  }

  source({ source }: ServerSpec): ReplicaSource {
    const { dns, docker } = this.parts
    if (source.kind === 'dns') return new (need(dns).DnsReplicaSource)(source)
    if (source.kind === 'docker') return new (need(docker).DockerReplicaSource)(source, this.#engineFor().engine)
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
    this.#engine ??= need(this.parts.containers).openEngine(this.config)
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
