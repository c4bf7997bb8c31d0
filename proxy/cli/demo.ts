import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const DEMO_FILE = fileURLToPath(new URL('../../deploy/demo/server.ts', import.meta.url))
/** The port that the demo's documentation names; any free one where it is taken. */
const PORTS = ['3001', '0']

export interface Demo {
  /** The part of the settings that points Sluice at the demo server. */
  readonly server: { readonly name: string; readonly urls: readonly string[] }
  /** Prints what to try next. On standard error: standard output is the log. */
  welcome(running: { url: string; adminUrl: string | null }): void
  stop(): void
}

/** Starts the demo server as a child that ends with this process. */
export async function startDemo(): Promise<Demo> {
  if (!existsSync(DEMO_FILE)) throw new Error('--demo: the demo server is only part of a checkout, not of the package')
  const { child, url } = await startOnFreePort()
  child.unref()
  child.channel?.unref()
  return {
    server: { name: 'demo', urls: [url] },
    welcome: ({ url: own, adminUrl }) => void process.stderr.write(welcomeText(own, adminUrl, url)),
    stop: () => void child.kill(),
  }
}

async function startOnFreePort(): Promise<{ child: ChildProcess; url: string }> {
  let failure = ''
  for (const port of PORTS) {
    // A process group of its own: Ctrl-C must not end it before the calls in flight have ended.
    const child = fork(DEMO_FILE, ['--child', '--port', port], {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    const said: string[] = []
    child.stderr?.setEncoding('utf8').on('data', (text: string) => said.push(text))
    const url = await servingUrl(child)
    if (url !== null) {
      // Nobody reads it from here on, and a full pipe would stop the child.
      child.stderr?.removeAllListeners('data').resume()
      ;(child.stderr as unknown as { unref(): void } | null)?.unref()
      return { child, url }
    }
    failure = said.join('').trim()
  }
  throw new Error(`the demo server does not start: ${failure}`)
}

/** `null` when it ended instead. */
function servingUrl(child: ChildProcess): Promise<string | null> {
  return new Promise(resolve => {
    child.once('message', message => resolve((message as { url: string }).url))
    child.once('exit', () => resolve(null))
  })
}

function welcomeText(url: string, adminUrl: string | null, demoUrl: string): string {
  const call = {
    jsonrpc: '2.0',
    id: 1,
    method: 'tools/list',
    params: {
      _meta: {
        'io.modelcontextprotocol/protocolVersion': '2026-07-28',
        'io.modelcontextprotocol/clientCapabilities': {},
      },
    },
  }
  return `
Sluice listens on ${url}/mcp, in front of a demo MCP server (${demoUrl}).

Ask for its tools:
  curl -sS ${url}/mcp \\
    -H 'content-type: application/json' -H 'accept: application/json, text/event-stream' \\
    -H 'mcp-protocol-version: 2026-07-28' -H 'mcp-method: tools/list' \\
    -d '${JSON.stringify(call)}'

Connect a client (Claude Code, VS Code, Cursor and others read this shape):
  { "mcpServers": { "sluice": { "type": "http", "url": "${url}/mcp" } } }

Logs are on standard output: one line for each exchange.${adminUrl === null ? '' : `\nMetrics: curl -sS ${adminUrl}/metrics      Health: curl -sS ${adminUrl}/ready`}
The chain at work is in deploy/demo; change a policy there and save: it is in use at once. Ctrl-C drains.

`
}
