import { connect } from 'node:net'
import type { Instance } from '../launcher.ts'
import type { Checker } from '../replica.ts'
import type { HealthSpec } from '../spec.ts'
import { askHttp, type Endpoint, wordsOf } from './http-ask.ts'
import { askDiscover, McpAsk } from './mcp-ask.ts'

/** Checks an instance as its server's `health` says. */
export function createChecker(instance: Instance, health: HealthSpec): Checker {
  if (health.kind === 'mcp') return mcpChecker(new McpAsk(instance))
  return { check: timeoutMs => guarded(() => check(instance, health, timeoutMs), timeoutMs), close: nothing }
}

function mcpChecker(mcp: McpAsk): Checker {
  return { check: timeoutMs => guarded(() => mcp.ask(timeoutMs), timeoutMs), close: () => mcp.close() }
}

function check(instance: Instance, health: HealthSpec, timeoutMs: number): Promise<string> {
  if (health.kind === 'http') return checkHttp(instance, health.path, timeoutMs)
  if (health.kind === 'tcp') return checkTcp(instance, timeoutMs)
  return checkAuto(instance, timeoutMs)
}

async function checkHttp(endpoint: Endpoint, path: string, timeoutMs: number): Promise<string> {
  const { status } = await askHttp(endpoint, { method: 'GET', path, headers: {}, body: '' }, timeoutMs)
  return status >= 200 && status < 300 ? '' : `${path} answers HTTP ${status}`
}

/** An answer of any kind is a sign of life; a connection alone is taken also for a server that hangs. */
async function checkAuto(instance: Instance, timeoutMs: number): Promise<string> {
  const own = await instance.selfCheck()
  if (own !== null) return own ? '' : 'it says itself that it is not well'
  const { status } = await askDiscover(instance, timeoutMs)
  return status < 500 ? '' : `answers HTTP ${status}`
}

function checkTcp({ url, socketPath }: Endpoint, timeoutMs: number): Promise<string> {
  const { hostname, port } = new URL(url)
  const host = hostname.replace(/^\[|\]$/g, '')
  return new Promise((resolve, reject) => {
    const socket = connect(socketPath === '' ? { host, port: Number(port) || 80 } : { path: socketPath })
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no connection within ${timeoutMs} ms`)))
    socket.once('error', error => reject(new Error(wordsOf(error))))
    socket.once('connect', () => {
      socket.destroy()
      resolve('')
    })
  })
}

/** No answer is an answer, and none takes longer than the limit. */
async function guarded(ask: () => Promise<string>, timeoutMs: number): Promise<string> {
  const limit = Promise.withResolvers<string>()
  const timer = setTimeout(limit.resolve, timeoutMs, `no answer within ${timeoutMs} ms`)
  try {
    return await Promise.race([ask(), limit.promise])
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    clearTimeout(timer)
  }
}

async function nothing(): Promise<void> {}
