import { rename, unlink } from 'node:fs/promises'
import type { Clock } from '../../api/index.ts'
import { createPrivately } from '../../base/private-file.ts'
import { withLock } from './file-lock.ts'
import { newKeyText, readKey, readOrCreateKey, type StoreKey } from './key-file.ts'
import { seal, unseal } from './seal.ts'
import { readStore, type StoreFile, writeStore } from './store-file.ts'

/** Largest secret, in bytes. */
export const MAX_SECRET_BYTES = 1024 * 1024
/** Most secrets in one store. */
export const MAX_SECRETS = 10_000

/** A secret without its value. */
export interface StoredName {
  readonly name: string
  readonly version: number
  readonly updated: string
}

export interface SecretStoreOptions {
  readonly file: string
  readonly keyFile: string
  readonly clock: Clock
}

/** What the store held at one moment. */
export interface StoreSnapshot {
  readonly names: readonly StoredName[]
  /** `null` = no such secret. @throws Error when the entry was changed by somebody without the key */
  get(name: string): Buffer | null
}

/**
 * Secrets at rest: one file, each entry encrypted by itself (AES-256-GCM) under a key in another file. Every change is
 * made under a lock and written whole. All errors name the file and what to do; none holds a value.
 */
export class SecretStore {
  readonly #options: SecretStoreOptions

  constructor(options: SecretStoreOptions) {
    this.#options = options
  }

  /** Reads all of it. A store that does not exist is empty. @throws Error for a wrong key, or an unreadable file */
  async read(): Promise<StoreSnapshot> {
    const { file } = this.#options
    const store = await readStore(file)
    if (store === null) return { names: [], get: () => null }
    const key = await this.#keyOf(store)
    const names = [...store.entries].map(([name, { version, updated }]) => ({ name, version, updated }))
    return { names, get: name => this.#open(store, key, name) }
  }

  /** Names only; needs no key. */
  async list(): Promise<StoredName[]> {
    const store = await readStore(this.#options.file)
    return [...(store?.entries ?? [])].map(([name, { version, updated }]) => ({ name, version, updated }))
  }

  /** @returns the version of the new value */
  set(name: string, value: Uint8Array): Promise<number> {
    if (value.byteLength > MAX_SECRET_BYTES) {
      throw new RangeError(`${name}: ${value.byteLength} bytes, a secret has at most ${MAX_SECRET_BYTES}`)
    }
    return this.#locked(async () => {
      const before = await readStore(this.#options.file)
      const key = before === null ? await readOrCreateKey(this.#options.keyFile) : await this.#keyOf(before)
      const entries = new Map(before?.entries)
      if (entries.size >= MAX_SECRETS && !entries.has(name)) throw new RangeError(`more than ${MAX_SECRETS} secrets`)
      const version = (entries.get(name)?.version ?? 0) + 1
      entries.set(name, seal(key.bytes, { name, version, updated: this.#now() }, value))
      await writeStore(this.#options.file, { keyId: key.id, entries })
      return version
    })
  }

  /** @returns whether there was such a secret */
  remove(name: string): Promise<boolean> {
    return this.#locked(async () => {
      const before = await readStore(this.#options.file)
      if (before === null) return false
      const entries = new Map(before.entries)
      if (!entries.delete(name)) return false
      await writeStore(this.#options.file, { keyId: before.keyId, entries })
      return true
    })
  }

  /**
   * Makes a new key and encrypts everything anew. A crash at any moment leaves a store that opens: the new key waits in
   * `<key file>.next` until the store is written, and is found there afterwards.
   * @returns how many secrets there are
   */
  rotateKey(): Promise<number> {
    const { file, keyFile } = this.#options
    return this.#locked(async () => {
      const before = await readStore(file)
      if (before === null) throw new Error(`${file}: there is no store yet; \`sluice secret set NAME\` makes one`)
      const old = await this.#keyOf(before)
      const values = [...before.entries].map(([name, entry]) => ({ name, entry, value: this.#open(before, old, name) }))
      await unlink(nextOf(keyFile)).catch(ignoreMissing)
      await createPrivately(nextOf(keyFile), newKeyText())
      const key = (await readKey(nextOf(keyFile))) as StoreKey
      const entries = new Map(
        values.map(({ name, entry: { version, updated }, value }) => {
          return [name, seal(key.bytes, { name, version, updated }, value as Buffer)] as const
        }),
      )
      await writeStore(file, { keyId: key.id, entries })
      await rename(nextOf(keyFile), keyFile)
      return entries.size
    })
  }

  /** The key that the store says it needs. */
  async #keyOf(store: StoreFile): Promise<StoreKey> {
    const { file, keyFile } = this.#options
    const key = await readKey(keyFile)
    if (key?.id === store.keyId) return key
    const next = await readKey(nextOf(keyFile))
    if (next?.id === store.keyId) return next
    if (key === null) throw new Error(`${keyFile}: no such file; it is the key of ${file}, restore it from a backup`)
    throw new Error(
      `${keyFile}: not the key of ${file} (this is key ${key.id}, the store needs ${store.keyId}); restore that key, or remove the store and set its secrets again`,
    )
  }

  /** What a crash in the middle of `rotateKey` left: the store has its new key, which is not yet where it belongs. */
  async #finishRotation(): Promise<void> {
    const { file, keyFile } = this.#options
    const next = await readKey(nextOf(keyFile))
    if (next !== null && (await readStore(file))?.keyId === next.id) await rename(nextOf(keyFile), keyFile)
  }

  #open(store: StoreFile, key: StoreKey, name: string): Buffer | null {
    const entry = store.entries.get(name)
    if (entry === undefined) return null
    const value = unseal(key.bytes, name, entry)
    if (value !== null) return value
    throw new Error(`${this.#options.file}: the entry "${name}" was changed without the key; set it again`)
  }

  #locked<T>(work: () => Promise<T>): Promise<T> {
    return withLock(`${this.#options.file}.lock`, async () => {
      await this.#finishRotation()
      return work()
    })
  }

  #now(): string {
    return new Date(this.#options.clock.now()).toISOString()
  }
}

function nextOf(keyFile: string): string {
  return `${keyFile}.next`
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
