import { Client as ClientV2, StreamableHTTPClientTransport as TransportV2 } from '@modelcontextprotocol/client'
import { StdioClientTransport as StdioV2 } from '@modelcontextprotocol/client/stdio'
import { Client as ClientV1 } from '@modelcontextprotocol/sdk/client/index.js'
import { StdioClientTransport as StdioV1 } from '@modelcontextprotocol/sdk/client/stdio.js'
import { StreamableHTTPClientTransport as TransportV1 } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import {
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema,
  LoggingMessageNotificationSchema,
  ResourceUpdatedNotificationSchema,
  ToolListChangedNotificationSchema,
} from '@modelcontextprotocol/sdk/types.js'
import type { Scope } from './scope.ts'

/** The peers the wire suite is run with: both generations of the official SDK, both eras. */
export const PEERS = ['v1', 'v2 legacy', 'v2 modern'] as const
/** `v2 auto` finds out the era by itself (`server/discover`, then `initialize`). */
export type Peer = (typeof PEERS)[number] | 'v2 auto'

export interface CallOptions {
  onprogress?: (progress: { progress: number; total?: number | undefined; message?: string | undefined }) => void
  signal?: AbortSignal
  timeout?: number
}

type Empty = Record<string, never>

export interface ConnectOptions {
  headers?: Record<string, string>
  /** What the client can be asked for; default all three, answered by fixed values. */
  capabilities?: { elicitation?: Empty; sampling?: Empty; roots?: Empty }
}

/** The user's answer to any elicitation. */
export const ELICITED = { name: 'Ada' }
/** The model's answer to any sampling request. */
export const SAMPLED = 'forty-two'
/** The client's only root. */
export const ROOT = 'file:///workspace'

// biome-ignore lint/suspicious/noExplicitAny: the two generations have different types; tests know what they ask for
type Any = any

/**
 * One connected SDK client behind one face for all peers. It collects what the server sends by itself, and it answers elicitation,
 * sampling and roots requests with fixed values, whether they come as requests (legacy) or as `input_required` (modern).
 */
export class SdkClient {
  readonly peer: Peer
  /** The SDK's own client, for what this face leaves out. */
  readonly raw: Any
  readonly transport: Any
  readonly logs: Any[] = []
  readonly updates: string[] = []
  toolListChanges = 0
  /** What the SDK reported out of band. */
  readonly errors: Error[] = []

  constructor(peer: Peer, raw: Any, transport: Any) {
    this.peer = peer
    this.raw = raw
    this.transport = transport
    raw.onerror = (error: Error) => this.errors.push(error)
  }

  get isModern(): boolean {
    return this.peer !== 'v1' && this.raw.getProtocolEra() === 'modern'
  }

  get sessionId(): string | undefined {
    return this.transport.sessionId
  }

  call(name: string, args: Record<string, unknown> = {}, options: CallOptions = {}): Promise<Any> {
    const params = { name, arguments: args }
    return this.peer === 'v1' ? this.raw.callTool(params, undefined, options) : this.raw.callTool(params, options)
  }

  /** Calls a tool and gives the text of its first content. */
  async callText(name: string, args: Record<string, unknown> = {}, options: CallOptions = {}): Promise<string> {
    const result = await this.call(name, args, options)
    return result.content[0]?.text
  }

  async toolNames(): Promise<string[]> {
    const { tools } = await this.raw.listTools(undefined, this.isModern ? { cacheMode: 'refresh' } : undefined)
    return tools.map((tool: { name: string }) => tool.name)
  }

  /** Subscribes to updates of a resource in the manner of the era; modern: with tool list changes too. */
  async subscribe(uri: string): Promise<void> {
    if (!this.isModern) return void (await this.raw.subscribeResource({ uri }))
    await this.raw.listen({ toolsListChanged: true, resourceSubscriptions: [uri] })
  }

  async readText(uri: string): Promise<string> {
    const { contents } = await this.raw.readResource({ uri }, this.isModern ? { cacheMode: 'refresh' } : undefined)
    return contents[0].text
  }

  close(): Promise<void> {
    return this.raw.close()
  }
}

/** Connects one peer to an MCP endpoint; it is closed with `scope`. */
export async function connectSdk(
  scope: Scope,
  peer: Peer,
  url: string,
  options: ConnectOptions = {},
): Promise<SdkClient> {
  const make = peer === 'v1' ? TransportV1 : TransportV2
  return connectOver(scope, peer, new make(new URL(url), requestInit(options)), options)
}

/** Connects one peer to a server that it starts itself and speaks to over stdio; it is closed with `scope`. */
export async function connectStdio(
  scope: Scope,
  peer: Peer,
  command: readonly string[],
  options: ConnectOptions = {},
): Promise<SdkClient> {
  const [program = '', ...args] = command
  const make = peer === 'v1' ? StdioV1 : StdioV2
  return connectOver(scope, peer, new make({ command: program, args, stderr: 'ignore' }), options)
}

async function connectOver(scope: Scope, peer: Peer, transport: Any, options: ConnectOptions): Promise<SdkClient> {
  const client = peer === 'v1' ? makeV1(transport, options) : makeV2(peer, transport, options)
  scope.after(() => client.close())
  await client.raw.connect(client.transport)
  return client
}

const INFO = { name: 'wire-suite', version: '1.0.0' }
const ALL: NonNullable<ConnectOptions['capabilities']> = { elicitation: {}, sampling: {}, roots: {} }

const MODES = { v1: 'legacy', 'v2 legacy': 'legacy', 'v2 modern': { pin: '2026-07-28' }, 'v2 auto': 'auto' } as const

function makeV1(transport: Any, options: ConnectOptions): SdkClient {
  const raw = new ClientV1(INFO, { capabilities: options.capabilities ?? ALL })
  const client = new SdkClient('v1', raw, transport)
  const can = options.capabilities ?? ALL
  if (can.elicitation)
    raw.setRequestHandler(ElicitRequestSchema, () => ({ action: 'accept' as const, content: ELICITED }))
  if (can.sampling) raw.setRequestHandler(CreateMessageRequestSchema, () => sampled())
  if (can.roots) raw.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: ROOT }] }))
  raw.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => void client.logs.push(params))
  raw.setNotificationHandler(ResourceUpdatedNotificationSchema, ({ params }) => void client.updates.push(params.uri))
  raw.setNotificationHandler(ToolListChangedNotificationSchema, () => void client.toolListChanges++)
  return client
}

function makeV2(peer: Peer, transport: Any, options: ConnectOptions): SdkClient {
  const can = options.capabilities ?? ALL
  const mode = MODES[peer]
  const raw = new ClientV2(INFO, { capabilities: can, versionNegotiation: { mode } })
  const client = new SdkClient(peer, raw, transport)
  if (can.elicitation) raw.setRequestHandler('elicitation/create', () => ({ action: 'accept', content: ELICITED }))
  if (can.sampling) raw.setRequestHandler('sampling/createMessage', () => sampled())
  if (can.roots) raw.setRequestHandler('roots/list', () => ({ roots: [{ uri: ROOT }] }))
  raw.setNotificationHandler('notifications/message', ({ params }) => void client.logs.push(params))
  raw.setNotificationHandler('notifications/resources/updated', ({ params }) => void client.updates.push(params.uri))
  raw.setNotificationHandler('notifications/tools/list_changed', () => void client.toolListChanges++)
  return client
}

function requestInit(options: ConnectOptions): { requestInit?: RequestInit } {
  return options.headers ? { requestInit: { headers: options.headers } } : {}
}

function sampled() {
  return { role: 'assistant' as const, model: 'made-up', content: { type: 'text' as const, text: SAMPLED } }
}
