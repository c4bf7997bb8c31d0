import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { BridgeLauncher } from '../../proxy/fleet/bridge/bridge-launcher.ts'
import type { Instance } from '../../proxy/fleet/launcher.ts'
import { ChildOpener } from '../../proxy/fleet/process/child-channel.ts'
import type { BridgeSpec } from '../../proxy/fleet/spec/bridge.ts'
import type { StdioOpener } from '../../proxy/fleet/stdio-channel.ts'
import type { Scope } from './scope.ts'

export const BRIDGE_SPEC: BridgeSpec = {
  era: 'auto',
  share: false,
  maxProcesses: 32,
  warm: 1,
  sessionIdleMs: 600_000,
  maxLineBytes: 16 * 1024 * 1024,
  acquireTimeoutMs: 5_000,
  maxWaiting: 100,
}

/** A bridge, and a TCP door to its socket for clients that cannot open one. */
export interface TestBridge {
  readonly instance: Instance
  /** `http://127.0.0.1:PORT/mcp` */
  readonly url: string
}

let count = 0

/** Starts a bridge around an opener, or around a command; it is stopped with `scope`. */
export async function startBridge(
  scope: Scope,
  what: StdioOpener | readonly string[],
  spec: Partial<BridgeSpec> = {},
  redact?: (line: string) => string,
): Promise<TestBridge> {
  const opener = 'open' in what ? what : new ChildOpener(() => ({ command: what, cwd: process.cwd(), env: {} }))
  const socketDir = mkdtempSync(join(tmpdir(), 'sluice-bridge-'))
  scope.after(() => rmSync(socketDir, { recursive: true, force: true }))
  const launcher = new BridgeLauncher({
    server: 'kb',
    spec: { ...BRIDGE_SPEC, ...spec },
    opener,
    socketDir,
    fingerprint: 'test',
    stopGraceMs: 2_000,
    ...(redact !== undefined && { redact }),
  })
  const instance = await launcher.launch(`kb-${++count}`, new AbortController().signal)
  scope.after(() => instance.stop(1_000))
  return { instance, url: await openDoor(scope, instance.socketPath) }
}

/** Passes TCP connections on to a unix socket. */
async function openDoor(scope: Scope, socketPath: string): Promise<string> {
  const server = createServer(client => {
    const inner = connect(socketPath)
    client.pipe(inner).pipe(client)
    client.on('error', () => inner.destroy())
    inner.on('error', () => client.destroy())
    client.on('close', () => inner.destroy())
    inner.on('close', () => client.destroy())
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  scope.after(() => new Promise<void>(resolve => server.close(() => resolve())))
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`
}
