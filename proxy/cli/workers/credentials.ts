import { systemClock } from '../../base/clock.ts'
import { LoadError } from '../../base/diagnostic.ts'
import type { Config } from '../../config/config.ts'
import { FileWatch } from '../../credentials/file-watch.ts'
import { CredentialKeeper, type ReplicaSecrets } from '../../credentials/keeper.ts'
import type { ShownValues } from '../../credentials/shown.ts'

export interface CredentialDeskOptions {
  readonly config: Config
  /** Reads the configuration afresh; throws a LoadError. */
  reread(): Config
  /** Takes all that is shown, after each change: for the workers, over IPC and nowhere else. */
  publish(all: readonly ShownValues[]): void
}

/** The supervisor's side: keeps credentials for all workers, so that one refresh token has one user. */
export class CredentialDesk {
  readonly #options: CredentialDeskOptions
  readonly #keeper: CredentialKeeper
  readonly #watch: FileWatch

  private constructor(options: CredentialDeskOptions, keeper: CredentialKeeper) {
    this.#options = options
    this.#keeper = keeper
    this.#watch = new FileWatch(() => void this.reload())
  }

  static async open(options: CredentialDeskOptions): Promise<CredentialDesk> {
    const { config, publish } = options
    const keeper = await CredentialKeeper.open({ spec: config.credentials, clock: systemClock, publish })
    const desk = new CredentialDesk(options, keeper)
    await desk.#look(config)
    return desk
  }

  get values(): readonly ShownValues[] {
    return this.#keeper.values
  }

  /** A worker found a credential refused, or over. */
  renew(server: string, client: string, version: number): void {
    this.#keeper.renew(server, client, version)
  }

  /** @see CredentialKeeper.replicaSecrets */
  replicaSecrets(server: string): ReplicaSecrets {
    return this.#keeper.replicaSecrets(server)
  }

  /** @see CredentialKeeper.onReplicaChange */
  onReplicaChange(listener: (server: string) => void): () => void {
    return this.#keeper.onReplicaChange(listener)
  }

  /** Takes what the configuration and all files say now. What is wrong with the configuration, the workers say. */
  async reload(): Promise<void> {
    try {
      const config = this.#options.reread()
      await this.#look(config)
      await this.#keeper.apply(config.credentials)
    } catch (error) {
      if (!(error instanceof LoadError)) throw error
    }
    await this.#keeper.look()
  }

  close(): void {
    this.#watch.close()
    this.#keeper.close()
  }

  #look({ file, valueFiles }: Config): Promise<void> {
    return this.#watch.watch(file === '' ? valueFiles : [file, ...valueFiles])
  }
}
