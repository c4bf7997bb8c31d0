import { createRequire } from 'node:module'

let loaded: typeof import('undici') | null = null

/**
 * undici, loaded when it is first needed: for servers behind TLS and for token endpoints. It brings HTTP/2, TLS and web streams
 * with it, memory that a proxy of plain servers can do without.
 */
export function undici(): typeof import('undici') {
  loaded ??= createRequire(import.meta.url)('undici') as typeof import('undici')
  return loaded
}
