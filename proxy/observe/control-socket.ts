import { chmodSync, lstatSync, mkdirSync, statSync, unlinkSync } from 'node:fs'
import { connect, type Server } from 'node:net'
import { dirname } from 'node:path'

/** Longest path of a unix socket: 108 bytes with the final NUL on Linux, 104 on macOS. */
const MAX_PATH_BYTES = process.platform === 'darwin' ? 103 : 107
const OTHERS_WRITE = 0o022

/** Another process listens there. */
export class SocketTaken extends Error {}

/**
 * Makes `server` listen on a unix socket that only this user can open. The folder is made, mode 0700, if it is not there. A
 * socket that a dead process has left is replaced.
 * @throws Error that names the socket, and says what to do
 */
export async function bindPrivately(server: Server, path: string): Promise<void> {
  if (Buffer.byteLength(path) > MAX_PATH_BYTES) {
    throw failure(path, `a socket's path has at most ${MAX_PATH_BYTES} bytes; name a shorter one by control_socket`)
  }
  try {
    makeFolder(dirname(path))
    await removeStale(path)
    await listen(server, path)
    chmodSync(path, 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === undefined) throw error
    throw failure(path, (error as Error).message, error)
  }
}

function makeFolder(folder: string): void {
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const mode = statSync(folder).mode & 0o777
  if ((mode & OTHERS_WRITE) === 0) return
  throw failure(folder, `others can write to this folder (mode ${mode.toString(8)}): run \`chmod 700 ${folder}\``)
}

/** @throws Error when somebody listens there, or when it is no socket */
async function removeStale(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false })
  if (stat === undefined) return
  if (!stat.isSocket()) throw failure(path, 'there is a file that is no socket: remove it, or name another path')
  if (await isLive(path)) {
    const text = 'another process listens there: stop it, or give one of the two a control_socket of its own'
    throw new SocketTaken(`control socket ${path}: ${text}`)
  }
  unlinkSync(path)
}

function isLive(path: string): Promise<boolean> {
  return new Promise(resolve => {
    const socket = connect(path)
    const done = (live: boolean) => (): void => {
      socket.destroy()
      resolve(live)
    }
    socket.once('connect', done(true))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      // Only a refused connection says that nobody is there.
      done(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT')()
    })
  })
}

/** The socket is made by the call itself: with this mask nobody else can open it even before its mode is set. */
function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const before = process.umask(0o177)
    try {
      server.once('error', reject)
      server.listen(path, () => {
        server.off('error', reject)
        resolve()
      })
    } finally {
      process.umask(before)
    }
  })
}

function failure(path: string, text: string, cause?: unknown): Error {
  return new Error(`control socket ${path}: ${text}`, { cause })
}
