import { createHash } from 'node:crypto'
import { z } from 'zod'
import { SecretError } from '../read-secret.ts'
import type { SecretStore } from '../store/secret-store.ts'

/** Names in the store that are the proxy's own. */
export const TOKEN_PREFIX = 'token/'

/** A renewed token, as it outlives the process. */
export interface KeptToken {
  readonly accessToken: string
  readonly refreshToken: string
  /** Milliseconds since the epoch; `null` = not told. */
  readonly expiresAt: number | null
  /** Digest of endpoint and refresh token as the configuration names them: with others, all this counts for nothing. */
  readonly seed: string
}

/** Where renewed tokens are kept; without a store, nowhere. */
export interface TokenKeep {
  load(name: string): Promise<KeptToken | null>
  save(name: string, token: KeptToken): Promise<void>
}

export const FORGETFUL: TokenKeep = { load: () => Promise.resolve(null), save: () => Promise.resolve() }

const kept = z.object({
  accessToken: z.string(),
  refreshToken: z.string(),
  expiresAt: z.number().nullable(),
  seed: z.string(),
})

export function keepIn(store: SecretStore): TokenKeep {
  return {
    async load(name) {
      const value = await read(store, TOKEN_PREFIX + name)
      if (value === null) return null
      const parsed = kept.safeParse(JSON.parse(value.toString()))
      return parsed.success ? parsed.data : null
    },
    async save(name, token) {
      await store.set(TOKEN_PREFIX + name, Buffer.from(JSON.stringify(token)))
    },
  }
}

async function read(store: SecretStore, name: string): Promise<Buffer | null> {
  try {
    return (await store.read()).get(name)
  } catch (error) {
    // The store's texts name files and keys' ids, never values.
    throw new SecretError((error as Error).message)
  }
}

/** Tells whether a kept token comes from this endpoint and this first refresh token. */
export function seedOf(url: string, refreshToken: string): string {
  return createHash('sha256')
    .update(JSON.stringify(['sluice token seed', url, refreshToken]))
    .digest('hex')
}
