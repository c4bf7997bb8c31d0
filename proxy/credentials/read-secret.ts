import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { SecretRef } from './spec.ts'
import { MAX_SECRET_BYTES, type SecretStore, type StoreSnapshot } from './store/secret-store.ts'

/** Stands in a search list for the encrypted store. */
export const STORE_PLACE = 'store'

/** A secret that cannot be had. The message names places and causes, never values. */
export class SecretError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'SecretError'
  }
}

/**
 * Reads secrets where references lead. One reader reads the store once, however many secrets are asked of it: make one for
 * each time that everything is read.
 */
export class SecretReader {
  readonly #store: SecretStore | null
  readonly #search: readonly string[]
  #snapshot: Promise<StoreSnapshot> | null = null
  /** Every file that was looked at, there or not: a change of any of them may change a value. */
  readonly files = new Set<string>()

  /** @param search folders, files of `NAME=value` lines, `store` */
  constructor(store: SecretStore | null, search: readonly string[]) {
    this.#store = store
    this.#search = search
  }

  /** Bytes as they are. @throws SecretError */
  async bytes(ref: SecretRef): Promise<Buffer> {
    if (ref.from === 'text') return Buffer.from(ref.prefix + ref.text.reveal())
    const value = ref.from === 'file' ? await this.#file(ref.path) : await this.#named(ref.name)
    return ref.prefix === '' ? value : Buffer.concat([Buffer.from(ref.prefix), value])
  }

  /** Text without the line break at its end. @throws SecretError */
  async text(ref: SecretRef): Promise<string> {
    const value = (await this.bytes(ref)).toString().replace(/\r?\n$/, '')
    // "Bearer Bearer x": whoever wrote the word into the secret itself meant it once.
    const twice = ref.prefix !== '' && value.slice(ref.prefix.length).toLowerCase().startsWith(ref.prefix.toLowerCase())
    const text = twice ? value.slice(ref.prefix.length) : value
    if (text.length === ref.prefix.length) throw new SecretError(`${placeOf(ref)} is empty`)
    return text
  }

  async #named(name: string): Promise<Buffer> {
    for (const place of this.#search) {
      const found = place === STORE_PLACE ? await this.#stored(name) : await this.#inPlace(place, name)
      if (found !== null) return found
    }
    throw new SecretError(`no secret "${name}"; looked in ${this.#search.map(told).join(', ') || 'no place at all'}`)
  }

  async #stored(name: string): Promise<Buffer | null> {
    if (this.#store === null) return null
    this.#snapshot ??= this.#store.read()
    try {
      return (await this.#snapshot).get(name)
    } catch (error) {
      throw new SecretError((error as Error).message)
    }
  }

  /** A folder with a file a secret, or a file of lines. */
  async #inPlace(place: string, name: string): Promise<Buffer | null> {
    const isFolder = await stat(place).then(
      found => found.isDirectory(),
      () => null,
    )
    this.files.add(isFolder === true ? join(place, name) : place)
    if (isFolder === null) return null
    if (!isFolder) return lineOf((await this.#file(place)).toString(), name)
    return (await isFile(join(place, name))) ? this.#file(join(place, name)) : null
  }

  async #file(path: string): Promise<Buffer> {
    this.files.add(path)
    try {
      const found = await stat(path)
      // A device or a pipe may never end.
      if (!found.isFile()) throw new SecretError(`${path}: ${found.isDirectory() ? 'a folder' : 'not a regular file'}`)
      const { size } = found
      if (size > MAX_SECRET_BYTES)
        throw new SecretError(`${path}: ${size} bytes, a secret has at most ${MAX_SECRET_BYTES}`)
      return await readFile(path)
    } catch (error) {
      if (error instanceof SecretError) throw error
      const { code } = error as NodeJS.ErrnoException
      const why = { ENOENT: 'no such file', EACCES: 'no permission to read it' }[code ?? '']
      throw new SecretError(`${path}: ${why ?? code ?? 'cannot be read'}`)
    }
  }
}

function placeOf(ref: SecretRef): string {
  if (ref.from === 'text') return 'the value'
  return ref.from === 'file' ? ref.path : `the secret "${ref.name}"`
}

function told(place: string): string {
  return place === STORE_PLACE ? 'the store' : place
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    found => found.isFile(),
    () => false,
  )
}

/** `NAME=value` of a file of such lines; quotes around a value are not part of it, `#` begins a comment. */
function lineOf(text: string, name: string): Buffer | null {
  let found: string | null = null
  for (const line of text.split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Za-z0-9._/-]+)\s*=\s*(.*?)\s*$/.exec(line)
    if (match?.[1] === name) found = (match[2] as string).replace(/^(["'])(.*)\1$/, '$2')
  }
  return found === null ? null : Buffer.from(found)
}
