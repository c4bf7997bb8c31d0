import { createCipheriv, createDecipheriv, createHash, hkdfSync, randomBytes } from 'node:crypto'
import { existsSync, linkSync, mkdirSync, readFileSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Lru } from '../base/lru.ts'

/** What a session token holds: where the session lives, and whose it is. */
export interface SessionRef {
  readonly server: string
  readonly replica: string
  /** The server's own `Mcp-Session-Id`. Never shown to clients, never logged. */
  readonly upstreamId: string
  /** The id of the principal that opened it; another one may not use it. */
  readonly principal: string
  /** First 12 hex digits of the SHA-256 of `upstreamId`: what logs may show. */
  readonly fingerprint: string
  /** The protocol revision that `initialize` settled. */
  readonly version: string
}

/** Tokens opened lately that are kept in memory; beyond it the ones not used for longest are opened again. */
export const maxOpenSessions = 10_000
/** Longest token that is looked at, in characters. A longer one is not ours. */
export const maxTokenLength = 4096

const FORMAT = 1
const NONCE_BYTES = 12
const TAG_BYTES = 16
const MIN_BYTES = 1 + NONCE_BYTES + TAG_BYTES
const KEY_BYTES = 32
const MIN_SECRET_LENGTH = 32
const LABEL = Buffer.from('sluice session token v1')
const TOKEN = /^[A-Za-z0-9_-]+$/

/**
 * Makes and opens session tokens: AES-256-GCM over (server, replica, upstream id, principal, revision), as base64url,
 * so visible ASCII (MCP 2025-11-25, transports, "Session Management"). Whoever has the key opens them: any worker,
 * any instance, after a restart too.
 *
 *     token = base64url( format:1 | nonce:12 | ciphertext | tag:16 )
 */
export class SessionSealer {
  readonly #key: Buffer
  readonly #opened = new Lru<string, SessionRef>(maxOpenSessions)

  /** @param key 32 bytes, as `loadSessionKey` gives it */
  constructor(key: Buffer) {
    if (key.length !== KEY_BYTES) throw new RangeError(`a session key has ${KEY_BYTES} bytes, not ${key.length}`)
    this.#key = key
  }

  seal(server: string, replica: string, upstreamId: string, principal: string, version: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv('aes-256-gcm', this.#key, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(LABEL)
    const plain = JSON.stringify([server, replica, upstreamId, principal, version])
    const sealed = [Buffer.of(FORMAT), nonce, cipher.update(plain, 'utf8'), cipher.final(), cipher.getAuthTag()]
    return Buffer.concat(sealed).toString('base64url')
  }

  /** What the token holds; `null` when it is not one of ours (or sealed with another key). Never throws. */
  open(token: string): SessionRef | null {
    if (token.length > maxTokenLength) return null
    const known = this.#opened.get(token)
    if (known !== undefined) return known
    const ref = this.#decrypt(token)
    if (ref !== null) this.#opened.set(token, ref)
    return ref
  }

  #decrypt(token: string): SessionRef | null {
    if (!TOKEN.test(token)) return null
    const bytes = Buffer.from(token, 'base64url')
    // One token, one spelling: base64url ignores spare bits, and a second spelling would be a second cache entry.
    if (bytes.length < MIN_BYTES || bytes[0] !== FORMAT || bytes.toString('base64url') !== token) return null
    const decipher = createDecipheriv('aes-256-gcm', this.#key, bytes.subarray(1, 1 + NONCE_BYTES), {
      authTagLength: TAG_BYTES,
    })
    decipher.setAAD(LABEL)
    decipher.setAuthTag(bytes.subarray(bytes.length - TAG_BYTES))
    try {
      const sealed = bytes.subarray(1 + NONCE_BYTES, bytes.length - TAG_BYTES)
      return refOf(JSON.parse(decipher.update(sealed, undefined, 'utf8') + decipher.final('utf8')) as string[])
    } catch {
      return null // a wrong tag: forged, cut, or sealed with another key; all mean "no such session"
    }
  }
}

function refOf(fields: string[]): SessionRef {
  const [server = '', replica = '', upstreamId = '', principal = '', version = ''] = fields
  return Object.freeze({ server, replica, upstreamId, principal, fingerprint: fingerprintOf(upstreamId), version })
}

/** First 12 hex digits of the SHA-256 of a session id: enough to follow it in a log, useless as a credential. */
export function fingerprintOf(upstreamId: string): string {
  return createHash('sha256').update(upstreamId).digest('hex').slice(0, 12)
}

/**
 * The key of the session tokens: derived from the configured secret, else from `<stateDir>/session.key`, which is
 * made once with mode 0600. Workers and instances that start together on one folder agree on one file.
 * @throws Error that names file and remedy when the secret is too short or the file is not private
 */
export function loadSessionKey(options: { sessionKey: string | null; stateDir: string }): Buffer {
  const secret = options.sessionKey ?? secretOfFile(join(options.stateDir, 'session.key'), options.stateDir)
  if (secret.length < MIN_SECRET_LENGTH) {
    throw new Error(
      `session_key: ${secret.length} characters are too few, expected at least ${MIN_SECRET_LENGTH}; make one with \`openssl rand -hex 32\``,
    )
  }
  return Buffer.from(hkdfSync('sha256', secret, '', LABEL, KEY_BYTES))
}

function secretOfFile(file: string, stateDir: string): string {
  try {
    if (!existsSync(file)) {
      mkdirSync(stateDir, { recursive: true, mode: 0o700 })
      createOnce(file)
    }
    return readPrivate(file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    const reason = (error as Error).message
    throw new Error(`${file} cannot be used (${reason}): give a state_dir that can be written to, or a session_key`, {
      cause: error,
    })
  }
}

/** Whole or not at all: a reader never meets a half-written file, and of two writers the first one wins. */
function createOnce(file: string): void {
  const draft = `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
  writeFileSync(draft, `${randomBytes(KEY_BYTES).toString('hex')}\n`, { mode: 0o600, flag: 'wx' })
  try {
    linkSync(draft, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  } finally {
    unlinkSync(draft)
  }
}

function readPrivate(file: string): string {
  const stat = statSync(file)
  if (process.platform !== 'win32' && (stat.mode & 0o077) !== 0) {
    const mode = (stat.mode & 0o777).toString(8).padStart(4, '0')
    throw new Error(
      `${file}: mode ${mode} lets others read the session key, expected 0600; run \`chmod 600 ${file}\`, or delete the file if others may have read it (clients then start new sessions)`,
    )
  }
  const secret = readFileSync(file, 'utf8').trim()
  if (secret.length < MIN_SECRET_LENGTH) {
    throw new Error(
      `${file}: expected a key of at least ${MIN_SECRET_LENGTH} characters; delete the file and a new one is made`,
    )
  }
  return secret
}
