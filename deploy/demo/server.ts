import { parseArgs } from 'node:util'
import { startDemoServer } from './demo-server.ts'

/**
 * The demo MCP server as a program: `node deploy/demo/server.ts [--port 3001] [--child]`.
 *
 * Prints one line, `demo MCP server listening on <url>`, once it serves; to its parent it also sends `{ url }` where there is an IPC
 * channel. `--port 0` takes any free port. SIGINT and SIGTERM end it. With `--child` it also ends when its parent does: when the
 * IPC channel or, without one, its standard input is closed.
 */
const { values } = parseArgs({
  options: { port: { type: 'string', default: '3001' }, child: { type: 'boolean', default: false } },
})

const port = Number(values.port)
if (!Number.isInteger(port) || port < 0 || port > 65_535) {
  console.error(`--port ${values.port}: expected a number from 0 to 65535`)
  process.exit(2)
}

try {
  const server = await startDemoServer(port)
  const stop = () => void server.close().then(() => process.exit(0))
  process.once('SIGINT', stop).once('SIGTERM', stop)
  if (values.child) followParent(stop)
  console.log(`demo MCP server listening on ${server.url}`)
  process.send?.({ url: server.url })
} catch (error) {
  const { code, message } = error as NodeJS.ErrnoException
  console.error(code === 'EADDRINUSE' ? `port ${port} is taken: choose another one with --port` : message)
  process.exit(1)
}

function followParent(stop: () => void): void {
  if (process.channel) return void process.once('disconnect', stop)
  process.stdin.once('end', stop).once('close', stop).resume()
}
