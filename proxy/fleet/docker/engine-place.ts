import { existsSync, readFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const USUAL_SOCKET = '/var/run/docker.sock'

/** Where a Docker engine is asked. */
export interface EnginePlace {
  /** Absolute path of its socket; `''` = TCP. */
  readonly socketPath: string
  readonly host: string
  readonly port: number
  /** PEM texts; `null` = no TLS. */
  readonly tls: { readonly ca: Buffer; readonly cert: Buffer; readonly key: Buffer } | null
  /** For people: the socket, or `host:port`. */
  readonly text: string
}

/**
 * The engine of a configuration: `socket`, else `DOCKER_HOST` (with `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH`, as the
 * docker command reads them), else the usual socket, that of the user first.
 * @throws Error that names the variable or the file
 */
export function enginePlace(socket: string, env: NodeJS.ProcessEnv): EnginePlace {
  if (socket !== '') return atSocket(socket)
  const host = env.DOCKER_HOST ?? ''
  if (host === '') return atSocket(usualSocket())
  if (host.startsWith('unix://')) return atSocket(host.slice('unix://'.length) || USUAL_SOCKET)
  const url = URL.parse(host.includes('://') ? host : `tcp://${host}`)
  if (url === null || !['tcp:', 'http:', 'https:'].includes(url.protocol) || url.hostname === '') {
    throw new Error(`DOCKER_HOST: expected unix:///path or tcp://host:port, got ${JSON.stringify(host)}`)
  }
  const isTls = url.protocol === 'https:' || (env.DOCKER_TLS_VERIFY ?? '') !== ''
  const port = url.port === '' ? (isTls ? 2376 : 2375) : Number(url.port)
  return { socketPath: '', host: url.hostname, port, tls: isTls ? readTls(env) : null, text: `${url.hostname}:${port}` }
}

function atSocket(socketPath: string): EnginePlace {
  return { socketPath, host: '', port: 0, tls: null, text: socketPath }
}

function usualSocket(): string {
  const own = join(homedir(), '.docker', 'run', 'docker.sock')
  return existsSync(own) ? own : USUAL_SOCKET
}

function readTls(env: NodeJS.ProcessEnv): { ca: Buffer; cert: Buffer; key: Buffer } {
  const dir = env.DOCKER_CERT_PATH ?? join(homedir(), '.docker')
  try {
    return {
      ca: readFileSync(join(dir, 'ca.pem')),
      cert: readFileSync(join(dir, 'cert.pem')),
      key: readFileSync(join(dir, 'key.pem')),
    }
  } catch (error) {
    const reason = (error as NodeJS.ErrnoException).code
    throw new Error(`DOCKER_CERT_PATH: ca.pem, cert.pem and key.pem are needed in ${dir} (${reason})`, { cause: error })
  }
}
