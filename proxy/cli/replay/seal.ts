import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { UsageError } from '../usage-error.ts'

const CIPHER = 'aes-256-gcm'
const KEY_BYTES = 32
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** Encrypts and opens the lines of one corpus. A line belongs to its place in its file: moved, it does not open. */
export class Seal {
  readonly #key: Buffer

  constructor(key: Buffer) {
    this.#key = key
  }

  /** @throws UsageError when the file is not there, not private, or holds no key */
  static read(file: string): Seal {
    const advice = `make one with: (umask 077; openssl rand -hex ${KEY_BYTES} > ${file})`
    const stat = statSync(file, { throwIfNoEntry: false })
    if (stat === undefined) throw new UsageError(`${file}: no such key file; ${advice}`)
    const mode = stat.mode & 0o777
    if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
      throw new UsageError(
        `${file}: mode 0${mode.toString(8)} lets others read the key, expected 0600; run \`chmod 600 ${file}\``,
      )
    }
    const text = readFileSync(file, 'utf8').trim()
    if (!/^[0-9a-fA-F]{64}$/.test(text)) throw new UsageError(`${file}: expected 64 hexadecimal digits; ${advice}`)
    return new Seal(Buffer.from(text, 'hex'))
  }

  /** Tells keys apart without telling the key. */
  get fingerprint(): string {
    return createHash('sha256').update('sluice corpus').update(this.#key).digest('hex').slice(0, 16)
  }

  /** @param place which line of which file it is */
  close(text: string, place: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(CIPHER, this.#key, nonce).setAAD(Buffer.from(place))
    const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()])
    return Buffer.concat([nonce, cipher.getAuthTag(), sealed]).toString('base64')
  }

  /** @throws Error when it was changed or moved, or the key is another one */
  open(sealed: string, place: string): string {
    const bytes = Buffer.from(sealed, 'base64')
    const nonce = bytes.subarray(0, NONCE_BYTES)
    const tag = bytes.subarray(NONCE_BYTES, NONCE_BYTES + TAG_BYTES)
    const decipher = createDecipheriv(CIPHER, this.#key, nonce, { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(place)).setAuthTag(tag)
    const text = Buffer.concat([decipher.update(bytes.subarray(NONCE_BYTES + TAG_BYTES)), decipher.final()])
    return text.toString()
  }
}
