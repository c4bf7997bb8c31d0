import { createHash, randomBytes } from 'node:crypto'
import { UsageError } from './usage-error.ts'

const KEY_BYTES = 32
const CLIENT_NAME = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,127}$/

/** A new API key and how the configuration knows it. */
export interface CreatedKey {
  /** `slk_` and 256 random bits. Shown once, stored nowhere. */
  readonly key: string
  /** SHA-256 of the key, hexadecimal: what the configuration holds. */
  readonly hash: string
}

export function createKey(): CreatedKey {
  const key = `slk_${randomBytes(KEY_BYTES).toString('base64url')}`
  return { key, hash: createHash('sha256').update(key).digest('hex') }
}

/** `sluice key create NAME`: the key goes to standard output alone, so that it can be piped; the rest is for people. */
export function keyCreate(name: string, out: (text: string) => void, note: (text: string) => void): void {
  if (!CLIENT_NAME.test(name) || name === 'anonymous') {
    throw new UsageError(`client name "${name}": expected letters, digits and . _ @ -, like "claude-desktop"`)
  }
  const { key, hash } = createKey()
  note(`API key of client "${name}". It is shown once and stored nowhere; give it to the client:\n\n`)
  out(`${key}\n`)
  note(`\nThe client sends it as\n\n  Authorization: Bearer slk_…\n`)
  note(
    `\nAdd its hash to sluice.yaml (a list of hashes allows a change of keys without a gap):\n\n${snippet(name, hash)}`,
  )
}

function snippet(name: string, hash: string): string {
  return `clients:\n  ${name}:\n    api_key_sha256: ${hash}\n`
}
