import { CredentialKeeper, type KeeperOptions, type ReplicaSecrets } from './keeper.ts'
import { CredentialTable } from './shown.ts'
import type { CredentialsSpec } from './spec.ts'

/** Keeps credentials in the process that uses them. */
export class LocalCredentials {
  readonly table: CredentialTable
  readonly #keeper: CredentialKeeper

  private constructor(table: CredentialTable, keeper: CredentialKeeper) {
    this.table = table
    this.#keeper = keeper
  }

  static async open(options: Omit<KeeperOptions, 'publish'>): Promise<LocalCredentials> {
    let keeper: CredentialKeeper | null = null
    const table = new CredentialTable((server, client, version) => keeper?.renew(server, client, version) ?? false)
    keeper = await CredentialKeeper.open({ ...options, publish: all => table.replace(all) })
    return new LocalCredentials(table, keeper)
  }

  /** @see CredentialKeeper.apply */
  apply(spec: CredentialsSpec): Promise<void> {
    return this.#keeper.apply(spec)
  }

  /** @see CredentialKeeper.look */
  look(): Promise<void> {
    return this.#keeper.look()
  }

  /** @see CredentialKeeper.replicaSecrets */
  replicaSecrets(server: string): ReplicaSecrets {
    return this.#keeper.replicaSecrets(server)
  }

  /** @see CredentialKeeper.onReplicaChange */
  onReplicaChange(listener: (server: string) => void): () => void {
    return this.#keeper.onReplicaChange(listener)
  }

  close(): void {
    this.#keeper.close()
  }
}
