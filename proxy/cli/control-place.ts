import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Config } from '../config/config.ts'
import { channels } from '../observe/channels.ts'
import type { Control } from '../observe/control.ts'
import { SocketTaken } from '../observe/control-socket.ts'
import { UsageError } from './usage-error.ts'

const NAME = /^control-\d+\.sock$/

/** Where a proxy that serves at `url` has its control socket; `''` = it has none. */
export function controlPath({ controlSocket, stateDir }: Config, url: string): string {
  if (controlSocket === null) return ''
  return controlSocket === 'auto'
    ? join(stateDir, `control-${new URL(url).port || defaultPort(url)}.sock`)
    : controlSocket
}

/**
 * Opens the socket. What the operator did not ask for by name must not keep the proxy from starting: it is told as a
 * warning, unless another proxy is there.
 * @throws Error where `control_socket` names a path, or another process listens
 */
export async function openOrSay(config: Config, path: string, open: () => Promise<Control>): Promise<Control | null> {
  if (path === '') return null
  try {
    const control = await open()
    channels.notice.publish({ level: 'info', text: 'control socket', fields: { path } })
    return control
  } catch (error) {
    if (config.controlSocket !== 'auto' || error instanceof SocketTaken) throw error
    const fields = { error: (error as Error).message }
    channels.notice.publish({ level: 'warn', text: 'there is no control socket', fields })
    return null
  }
}

/**
 * Where the proxy of a configuration should have its control socket.
 * @throws UsageError when it has none, or there are several that it could be
 */
export function expectedPath(config: Config): string {
  const { controlSocket, stateDir, listen } = config
  if (controlSocket === null) throw new UsageError(`control_socket is off in ${config.file}: nothing can be asked`)
  if (controlSocket !== 'auto') return controlSocket
  if (listen.port !== 0) return join(stateDir, `control-${listen.port}.sock`)
  const names = existsSync(stateDir) ? readdirSync(stateDir).filter(name => NAME.test(name)) : []
  const [only] = names
  if (only !== undefined && names.length === 1) return join(stateDir, only)
  const found = names.length === 0 ? `there is none in ${stateDir}` : `there are ${names.join(', ')} in ${stateDir}`
  throw new UsageError(`listen says any free port, so the socket's name is not known, and ${found}: give --socket PATH`)
}

function defaultPort(url: string): string {
  return url.startsWith('https:') ? '443' : '80'
}
