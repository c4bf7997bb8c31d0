import { readFileSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { JsonObject } from '../../api/index.ts'
import { WireMessage } from '../../message/message.ts'
import { ScanFault, scan } from '../../message/scan.ts'
import type { RawGiven } from '../../policy/test-schema.ts'
import { expandRepeats } from './repeat.ts'

/** Nesting that a message of a test may have. */
const MAX_DEPTH = 1000
const MAX_FILE_BYTES = 16 * 1024 * 1024

/** The message a test sends. @throws TypeError that says what is wrong with it */
export function givenMessage(given: RawGiven, baseDir: string): WireMessage {
  const body = givenBody(given, baseDir)
  const envelope = scan(body, MAX_DEPTH)
  if (envelope instanceof ScanFault) throw new TypeError(`not a JSON-RPC message: ${envelope.text}`)
  const method = envelope.kind === 'response' ? (given.answers ?? '') : envelope.method
  return new WireMessage('toServer', envelope, body, method, envelope.name)
}

function givenBody(given: RawGiven, baseDir: string): Buffer {
  if (given.message_file !== undefined) return recorded(resolve(baseDir, given.message_file))
  if (typeof given.message === 'string') return Buffer.from(given.message.trim())
  if (given.message !== undefined) return encode(expand(given.message))
  if (given.call !== undefined) {
    return encode({ method: 'tools/call', params: { name: given.call, arguments: expand(given.arguments ?? {}) } })
  }
  return encode({ method: given.method, ...(given.params === undefined ? {} : { params: expand(given.params) }) })
}

function expand(value: Readonly<Record<string, unknown>>): Record<string, unknown> {
  return expandRepeats(value) as Record<string, unknown>
}

function recorded(file: string): Buffer {
  try {
    const { size } = statSync(file)
    if (size > MAX_FILE_BYTES) throw new Error(`${size} bytes: expected at most ${MAX_FILE_BYTES}`)
    return Buffer.from(readFileSync(file, 'utf8').trim())
  } catch (error) {
    throw new TypeError(`${file}: ${(error as Error).message}`)
  }
}

/** Adds what a message needs and nobody wants to write. */
function encode(message: Readonly<Record<string, unknown>>): Buffer {
  const { method } = message
  const lone = typeof method === 'string' && method.startsWith('notifications/')
  const frame = lone ? { jsonrpc: '2.0' } : { jsonrpc: '2.0', id: 1 }
  return Buffer.from(JSON.stringify({ ...frame, ...message }))
}

/** A message that the server sends on its own: a notification, unless it has an id. */
export function encodeEvent(event: Readonly<Record<string, unknown>> | string): string {
  return typeof event === 'string' ? event.trim() : JSON.stringify({ jsonrpc: '2.0', ...expand(event) })
}

/** What a server that nobody said anything about answers. */
export function defaultResult(method: string, tools: readonly unknown[]): JsonObject {
  switch (method) {
    case 'tools/call':
      return { content: [{ type: 'text', text: 'ok' }] }
    case 'tools/list':
      return { tools: tools as JsonObject[] }
    case 'prompts/list':
      return { prompts: [] }
    case 'prompts/get':
      return { messages: [] }
    case 'resources/list':
      return { resources: [] }
    case 'resources/templates/list':
      return { resourceTemplates: [] }
    case 'resources/read':
      return { contents: [] }
    case 'initialize':
      return {
        protocolVersion: '2025-11-25',
        capabilities: { tools: { listChanged: true } },
        serverInfo: { name: 'rehearsal', version: '0' },
      }
    default:
      return {}
  }
}
