import type { Diagnostic } from '../../base/diagnostic.ts'
import type { YamlSource } from '../../base/yaml-source.ts'

/** What the check needs to know of a server. */
interface Spread {
  readonly url?: string | undefined
  readonly urls?: readonly string[] | undefined
  readonly http2: boolean
  readonly tls?: object | undefined
  readonly hedge: object | null
}

/** Keys about spreading that can never act, as warnings. Servers whose replicas come and go are none of it. */
export function checkUpstreams(servers: Readonly<Record<string, Spread>>, source: YamlSource): Diagnostic[] {
  return Object.entries(servers).flatMap(([name, server]) => {
    const urls = server.urls ?? (server.url === undefined ? [] : [server.url])
    if (urls.length === 0) return []
    const warn = (key: string, text: string): Diagnostic =>
      source.diagnostic(['servers', name, key], text, { at: 'key', severity: 'warning' })
    const found: Diagnostic[] = []
    const secure = urls.some(url => url.startsWith('https:'))
    if (server.http2 && !secure) found.push(warn('http2', 'HTTP/2 is spoken only to https replicas, and there is none'))
    if (server.tls !== undefined && !secure) found.push(warn('tls', 'no replica has an https URL'))
    if (server.hedge !== null && urls.length === 1) found.push(warn('hedge', 'there is only one replica'))
    return found
  })
}
