import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import type { UpstreamTls } from './settings.ts'

/** What a TLS connection to a server needs besides the usual. */
export type Pem = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername'>

/**
 * Reads the files that `tls` of a server names.
 * @throws Error that names server, key and file when one cannot be read
 */
export function readPem(server: string, tls: UpstreamTls | null): Pem {
  if (tls === null) return {}
  return {
    ...(tls.ca !== '' && { ca: read(server, 'ca', tls.ca) }),
    ...(tls.cert !== '' && { cert: read(server, 'cert', tls.cert) }),
    ...(tls.key !== '' && { key: read(server, 'key', tls.key) }),
    ...(tls.serverName !== '' && { servername: tls.serverName }),
  }
}

function read(server: string, key: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    const reason = (error as Error).message
    throw new Error(`servers.${server}.tls.${key}: ${file} cannot be read (${reason})`, { cause: error })
  }
}
