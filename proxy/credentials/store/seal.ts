import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'

const NONCE_BYTES = 12
const TAG_BYTES = 16

/** One secret as the file holds it. */
export interface SealedEntry {
  /** Rises by one with each new value of the name. */
  readonly version: number
  /** ISO 8601, UTC. */
  readonly updated: string
  /** Base64 of 12 bytes, new for each value. */
  readonly nonce: string
  /** Base64 of the ciphertext and its tag. */
  readonly data: string
}

/** What one entry says besides its value; the value opens only together with it. */
export interface EntryHead {
  readonly name: string
  readonly version: number
  readonly updated: string
}

/** AES-256-GCM; name, version and time are authenticated: no entry can be put in another's place, or go back in time alone. */
export function seal(key: Buffer, head: EntryHead, value: Uint8Array): SealedEntry {
  const nonce = randomBytes(NONCE_BYTES)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  cipher.setAAD(aadOf(head))
  const data = Buffer.concat([cipher.update(value), cipher.final(), cipher.getAuthTag()])
  const { version, updated } = head
  return { version, updated, nonce: nonce.toString('base64'), data: data.toString('base64') }
}

/** The value of an entry; `null` when it was changed, or sealed under another key, name, version or time. */
export function unseal(key: Buffer, name: string, entry: SealedEntry): Buffer | null {
  const nonce = Buffer.from(entry.nonce, 'base64')
  const data = Buffer.from(entry.data, 'base64')
  if (nonce.length !== NONCE_BYTES || data.length < TAG_BYTES) return null
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_BYTES })
  decipher.setAAD(aadOf({ name, version: entry.version, updated: entry.updated }))
  decipher.setAuthTag(data.subarray(data.length - TAG_BYTES))
  try {
    return Buffer.concat([decipher.update(data.subarray(0, data.length - TAG_BYTES)), decipher.final()])
  } catch {
    return null
  }
}

function aadOf({ name, version, updated }: EntryHead): Buffer {
  return Buffer.from(JSON.stringify(['sluice secrets', 1, name, version, updated]))
}
