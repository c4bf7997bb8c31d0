import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import type { UpstreamTls } from './settings.ts'

/** What a TLS connection to a server needs besides the usual. */
export type Pem = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'servername'>

/**
 * Reads the files that `tls` names.
 * @throws Error that names key and file when one cannot be read
 */
export function readPem(tls: UpstreamTls | null): Pem {
  if (tls === null) return {}
  return {
    ...(tls.ca !== '' && { ca: read('ca', tls.ca) }),
    ...(tls.cert !== '' && { cert: read('cert', tls.cert) }),
    ...(tls.key !== '' && { key: read('key', tls.key) }),
    ...(tls.serverName !== '' && { servername: tls.serverName }),
  }
}

function read(key: string, file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new Error(`tls.${key} of a server: ${file} cannot be read (${(error as Error).message})`, { cause: error })
  }
}
