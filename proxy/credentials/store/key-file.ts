import { createHmac, randomBytes } from 'node:crypto'
import { createPrivately, readPrivately } from '../../base/private-file.ts'

/** AES-256. */
export const KEY_BYTES = 32
const MAX_FILE_BYTES = 4096
const KEY_ID_BYTES = 8

/** A key and how a store knows it. */
export interface StoreKey {
  readonly bytes: Buffer
  /** 16 hexadecimal digits that say nothing about the key. */
  readonly id: string
}

/** Text of a key file: one line of base64. */
export function newKeyText(): string {
  return `${randomBytes(KEY_BYTES).toString('base64')}\n`
}

/**
 * Reads a key file: 32 bytes, as base64, as hexadecimal, or as they are.
 * @returns `null` when there is no such file
 * @throws Error that names file and remedy when others may read it or it holds no key
 */
export async function readKey(file: string): Promise<StoreKey | null> {
  try {
    return keyOf(await readPrivately(file, MAX_FILE_BYTES), file)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return null
    if (code !== undefined) throw new Error(`${file}: the key cannot be read (${code})`, { cause: error })
    throw error
  }
}

/** Reads the key, and makes one where there is none. Of two who do so at once, both get the same. */
export async function readOrCreateKey(file: string): Promise<StoreKey> {
  const known = await readKey(file)
  if (known !== null) return known
  await createPrivately(file, newKeyText())
  return (await readKey(file)) as StoreKey
}

function keyOf(content: Buffer, file: string): StoreKey {
  const bytes = decode(content)
  if (bytes === null) {
    throw new Error(`${file}: expected a key of ${KEY_BYTES} bytes in base64, as \`openssl rand -base64 32\` prints`)
  }
  return {
    bytes,
    id: createHmac('sha256', bytes)
      .update('sluice key id')
      .digest('hex')
      .slice(0, 2 * KEY_ID_BYTES),
  }
}

function decode(content: Buffer): Buffer | null {
  if (content.length === KEY_BYTES) return Buffer.from(content)
  const text = content.toString('latin1').trim()
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex')
  if (/^[A-Za-z0-9+/_-]{43}=?$/.test(text)) return Buffer.from(text, 'base64')
  return null
}
