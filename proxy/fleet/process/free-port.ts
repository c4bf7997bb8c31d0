import { createServer } from 'node:net'

/** Ports that were given out and whose process has not ended, so that none is given twice. */
const given = new Set<number>()
const TRIES = 20

/** A port on 127.0.0.1 that nobody listens on now. Somebody else may take it before the process does. */
export async function takePort(): Promise<number> {
  for (let i = 0; i < TRIES; i++) {
    const port = await anyPort()
    if (given.has(port)) continue
    given.add(port)
    return port
  }
  throw new Error(`no free port on 127.0.0.1 after ${TRIES} tries`)
}

export function givePortBack(port: number): void {
  given.delete(port)
}

/** Whether somebody listens there. */
export function isTaken(port: number): Promise<boolean> {
  return listenOn(port).then(
    () => false,
    () => true,
  )
}

function anyPort(): Promise<number> {
  return listenOn(0)
}

/** Binds and lets go again. @returns the port */
function listenOn(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      const address = server.address()
      const bound = typeof address === 'object' && address !== null ? address.port : 0
      server.close(() => resolve(bound))
    })
  })
}
