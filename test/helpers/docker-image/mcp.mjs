// What the MCP server of the test image does, over HTTP and over stdio. No dependencies: the image holds nothing else.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { networkInterfaces } from 'node:os'

const held = []

const TOOLS = {
  echo: ({ text }) => text,
  env: ({ name }) => String(process.env[name]),
  read: ({ path }) => readFileSync(path, 'utf8'),
  list: ({ path }) => readdirSync(path).join(' '),
  write: ({ path }) => {
    writeFileSync(path, 'x')
    return 'written'
  },
  whoami: () => `${process.getuid()}:${process.getgid()}`,
  networks: () => Object.keys(networkInterfaces()).join(' '),
  eat: ({ mebibytes }) => {
    for (let i = 0; i < mebibytes; i++) held.push(Buffer.alloc(1024 * 1024, 1))
    return `${held.length}`
  },
  exit: ({ code }) => process.exit(code),
  say: ({ text }) => {
    console.error(text)
    return 'said'
  },
}

/** One JSON-RPC message in, its answer out; `null` for what needs none. */
export function answer(message) {
  if (message.id === undefined) return null
  try {
    return { jsonrpc: '2.0', id: message.id, result: result(message) }
  } catch (error) {
    return { jsonrpc: '2.0', id: message.id, error: { code: error.rpc ?? -32603, message: error.message } }
  }
}

function result({ method, params }) {
  if (method === 'initialize') {
    const serverInfo = { name: 'container', version: '1.0.0' }
    return { protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo }
  }
  if (method === 'ping') return {}
  if (method === 'tools/list') {
    return { tools: Object.keys(TOOLS).map(name => ({ name, inputSchema: { type: 'object' } })) }
  }
  const tool = method === 'tools/call' ? TOOLS[params.name] : undefined
  if (tool === undefined) throw Object.assign(new Error(`no ${method} here`), { rpc: -32601 })
  return { content: [{ type: 'text', text: tool(params.arguments ?? {}) }] }
}
