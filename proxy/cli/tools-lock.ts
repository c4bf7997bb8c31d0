import { diffServer } from '../../interceptors/schema/pins/diff.ts'
import { type Pin, parseLock, readLock, writeLock } from '../../interceptors/schema/pins/lock-file.ts'
import type { JsonObject } from '../api/index.ts'
import { suggestion } from '../base/suggest.ts'
import { count, FAILED, OK } from './failure.ts'
import { configOrDefault, DEFAULT_SERVER } from './settings.ts'
import { type Endpoint, listTools } from './tools-client.ts'
import { UsageError } from './usage-error.ts'

export interface ToolsFlags {
  readonly config?: string
  /** With URL: the name of the server behind it. Else: only this server of the configuration. */
  readonly server?: string
  /** `Name: value`, for a server given by URL. */
  readonly header: readonly string[]
}

/** Takes text for standard output, or for standard error. */
export type Write = (text: string) => void

/** `sluice tools pin`: the lock file goes to standard output, what was found to standard error. */
export async function toolsPin(url: string | undefined, flags: ToolsFlags, out: Write, note: Write): Promise<void> {
  const servers = new Map<string, readonly JsonObject[]>()
  for (const [name, endpoint] of endpointsOf(url, flags)) {
    servers.set(name, await toolsOf(name, endpoint))
    note(`${name}: ${count(servers.get(name)?.length ?? 0, 'tool')}\n`)
  }
  const text = writeLock(servers)
  // What cannot be read back (two tools of one name, text that is no Unicode) is better known now.
  parseLock(text, 'these tools cannot be pinned')
  out(text)
}

/** `sluice tools diff`: what changed since, on standard output. Gives the exit code: 1 = something did. */
export async function toolsDiff(
  url: string | undefined,
  flags: ToolsFlags,
  lockFile: string,
  out: Write,
): Promise<number> {
  const lock = readLock(lockFile)
  let changed = false
  for (const [name, endpoint] of endpointsOf(url, flags)) {
    const pins = lock.get(name) ?? new Map<string, Pin>()
    const text = diffServer(name, pins, await toolsOf(name, endpoint))
    out(text === '' ? `${name}: as pinned (${count(pins.size, 'tool')})\n` : text)
    if (text !== '') changed = true
  }
  return changed ? FAILED : OK
}

async function toolsOf(name: string, endpoint: Endpoint): Promise<JsonObject[]> {
  try {
    return await listTools(endpoint)
  } catch (error) {
    throw new Error(`${name} (${endpoint.url}): ${(error as Error).message}`)
  }
}

function endpointsOf(url: string | undefined, flags: ToolsFlags): Map<string, Endpoint> {
  if (url !== undefined) {
    if (flags.config !== undefined) throw new UsageError('give a URL or a configuration (-c), not both')
    return new Map([[flags.server ?? DEFAULT_SERVER, { url: checkedUrl(url), headers: flags.header.map(headerOf) }]])
  }
  if (flags.header.length > 0)
    throw new UsageError('--header is for a server given by URL; the configuration has its own')
  const { servers } = configOrDefault({ ...(flags.config !== undefined && { config: flags.config }), interceptors: [] })
  const chosen = servers.filter(({ name }) => flags.server === undefined || name === flags.server)
  if (chosen.length === 0) throw new UsageError(noServer(flags.server, servers))
  return new Map(chosen.map(({ name, urls, headers }) => [name, { url: urls[0] ?? '', headers }]))
}

function noServer(wanted: string | undefined, servers: readonly { readonly name: string }[]): string {
  if (wanted === undefined) return 'which server? Give its URL, or a configuration: sluice tools pin -c sluice.yaml'
  const names = servers.map(({ name }) => name)
  return `no server "${wanted}" in the configuration${suggestion(wanted, names, 'there are')}`
}

function checkedUrl(text: string): string {
  const url = URL.parse(text)
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return url.href
  throw new UsageError(`"${text}": expected the URL of an MCP endpoint, such as http://127.0.0.1:3001/mcp`)
}

function headerOf(text: string): readonly [string, string] {
  const match = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*(.*)$/.exec(text)
  // The text may hold a credential: it is not repeated.
  if (match === null) throw new UsageError('--header: expected "Name: value"')
  return [match[1] as string, match[2] as string]
}
