import type { JsonObject } from './json.ts'

/** What a JSON-RPC 2.0 message is. */
export type Kind = 'request' | 'response' | 'notification'

/** Where a message travels: towards the MCP server, or towards the client. */
export type Direction = 'toServer' | 'toClient'

/**
 * One JSON-RPC message in flight. Bytes first; JSON only if somebody asks.
 *
 * A message that no hook edits leaves byte for byte as it came. An edit changes what it changes and nothing else:
 * all other values keep their source text (`9007199254740993`, `1.0`, escapes, white space, key order).
 */
export interface Message {
  readonly kind: Kind
  readonly direction: Direction
  /** The JSON-RPC method. For a response: the method it answers, `''` where that is not known. */
  readonly method: string
  /** The tool, prompt, resource URI or task id it names (`params.name`, `params.uri`, `params.taskId`); `''` when none. */
  readonly name: string
  /** The JSON-RPC id; `null` for a notification. Integers above 2^53 lose digits here, never on the wire. */
  readonly id: string | number | null
  /** Size in bytes of the message as it would leave now. */
  readonly byteLength: number
  /** Whether a hook has changed it. */
  readonly edited: boolean
  /** The message as UTF-8 JSON: a view, do not write to it. */
  bytes(): Uint8Array
  /** Parsed at most once and shared by all hooks: do not change it, use `edit()`. */
  json(): Readonly<JsonObject>
  /**
   * The same for those who look at a result but not at its `content`: where that is large, an empty list may stand in its
   * place, and it is not parsed.
   */
  jsonWithoutContent(): Readonly<JsonObject>
  /**
   * Changes the message: `change` gets a copy it may write to. What it leaves alone keeps its source text.
   * The hook's look must say `edits: true`, otherwise this throws and the hook counts as failed.
   */
  edit(change: (json: JsonObject) => void): void
  /** Replaces the whole message by another UTF-8 JSON text of the same kind and id. Needs `edits: true` too. */
  replace(body: Uint8Array): void
}
