import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { z } from 'zod'
import { LoadError } from '../../proxy/base/diagnostic.ts'
import { readYaml } from '../../proxy/base/read-yaml.ts'
import { validate } from '../../proxy/base/validate.ts'

const ROOT = join(import.meta.dirname, '..', '..')
const SERVER = join(ROOT, 'bench', 'servers', 'stdio.ts')

const peer = z.strictObject({
  what: z.string().default('another gateway'),
  command: z
    .array(z.string())
    .min(1)
    .meta({ description: 'program and arguments; {port} = where it shall listen, {upstream} = URL of the server' }),
  url: z.string().default('http://127.0.0.1:{port}/mcp').meta({ description: 'its endpoint' }),
})
const peerFile = z.strictObject({ version: z.literal(1).default(1), peers: z.record(z.string().min(1), peer) })

export type PeerSpec = z.infer<typeof peer>

/** Other gateways that a file tells how to start. @throws LoadError with every problem found */
export function loadPeers(file: string): ReadonlyMap<string, PeerSpec> {
  const source = readYaml(file, process.env)
  if (source.diagnostics.length > 0) throw new LoadError(source.diagnostics)
  const { value, diagnostics } = validate(source, peerFile)
  if (value === null) throw new LoadError(diagnostics)
  return new Map(Object.entries(value.peers))
}

/** Those that npm installs with us. They run the server over stdio, a process a session. */
export function peerCommand(name: 'mcp-proxy' | 'supergateway'): PeerSpec {
  const url = 'http://127.0.0.1:{port}/mcp'
  const node = process.execPath
  if (name === 'mcp-proxy') {
    const program = join(ROOT, 'node_modules', 'mcp-proxy', 'dist', 'bin', 'mcp-proxy.mjs')
    const options = ['--host', '127.0.0.1', '--port', '{port}', '--server', 'stream', '--no-eventStore']
    const what = `mcp-proxy ${versionOf(name)}, no event store`
    return { what, url, command: [node, program, ...options, '--', node, SERVER] }
  }
  const program = join(ROOT, 'node_modules', 'supergateway', 'dist', 'index.js')
  const options = ['--outputTransport', 'streamableHttp', '--stateful', '--logLevel', 'none', '--port', '{port}']
  const what = `supergateway ${versionOf(name)}, stateful, no log`
  return { what, url, command: [node, program, '--stdio', `${node} ${SERVER}`, ...options] }
}

/** What is left of some processes without the MCP servers among them; gateways name those in their arguments, too. */
export function withoutServers(pids: readonly number[]): number[] {
  return pids.filter(pid => commandOf(pid).split('\0')[1] !== SERVER)
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}

function versionOf(name: string): string {
  const manifest = readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { version: string }).version
}
