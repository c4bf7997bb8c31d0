/** A place to listen at. */
export interface HostPort {
  /** Without brackets: `::1`. */
  readonly host: string
  /** 0 = any free port. */
  readonly port: number
}

const HOST_PORT = /^(?:\[([0-9a-fA-F:.]+(?:%[\w.-]+)?)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/

/**
 * Reads `127.0.0.1:8080`, `localhost:8080`, `[::1]:8080` or a bare port, which means loopback.
 * @returns `null` when the text is none of these
 */
export function parseHostPort(text: string | number): HostPort | null {
  const written = String(text)
  if (/^\d{1,5}$/.test(written)) return withPort('127.0.0.1', written)
  const match = HOST_PORT.exec(written)
  if (match === null) return null
  return withPort(match[1] ?? match[2] ?? '', match[3] ?? '')
}

function withPort(host: string, digits: string): HostPort | null {
  const port = Number(digits)
  return port <= 65535 ? { host, port } : null
}

/** `[::1]:8080`, as it stands in a URL. */
export function formatHostPort(place: HostPort): string {
  return place.host.includes(':') ? `[${place.host}]:${place.port}` : `${place.host}:${place.port}`
}

/** Whether only this machine can reach the host: 127.0.0.0/8, `::1`, `localhost`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host)
}
