import { createServer } from 'node:net'
import { formatHostPort, type HostPort } from '../../base/host-port.ts'
import type { Config } from '../../config/config.ts'
import { type Finding, ok, problem, reasonOf } from './finding.ts'

/** Whether the listeners' addresses can be had. @param running whether a Sluice with this configuration runs now */
export async function checkPorts(config: Config, running: boolean): Promise<Finding[]> {
  const places: [string, HostPort][] = [['listen', config.listen]]
  if (config.admin !== null) places.push(['admin', config.admin])
  return Promise.all(places.map(([key, place]) => checkPort(key, place, running)))
}

async function checkPort(key: string, place: HostPort, running: boolean): Promise<Finding> {
  const what = `port ${place.port} (${key})`
  const code = await listenOnce(place)
  if (code === '') return ok(what, `${formatHostPort(place)} is free`)
  if (code === 'EADDRINUSE' && running) return ok(what, `${formatHostPort(place)} is used by the Sluice that runs`)
  return problem(what, `${formatHostPort(place)}: ${TEXTS[code] ?? code}`, ADVICE[code] ?? `choose another "${key}"`)
}

const TEXTS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another program listens there',
  EACCES: 'this user may not listen there',
  EADDRNOTAVAIL: 'this machine has no such address',
}

const ADVICE: Readonly<Record<string, string>> = {
  EACCES: 'choose a port from 1024 up, or give the program CAP_NET_BIND_SERVICE',
  EADDRNOTAVAIL: 'choose an address of this machine, 127.0.0.1 or 0.0.0.0',
}

/** Resolves to an error code, `''` = it works. */
function listenOnce({ host, port }: HostPort): Promise<string> {
  return new Promise(resolve => {
    const server = createServer()
    server.once('error', error => resolve(reasonOf(error)))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve('')))
  })
}
