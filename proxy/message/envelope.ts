import type { Kind } from '../api/index.ts'

/**
 * What the proxy knows of a JSON-RPC message without parsing it: found by `scan` in one pass over the bytes.
 * Immutable; holds no reference to the message's bytes.
 */
export class Envelope {
  readonly kind: Kind
  /** `''` for a response. */
  readonly method: string
  /**
   * What the message names, `''` when nothing: `params.name` of `tools/call` and `prompts/get`, `params.uri` of
   * `resources/*`, `params.taskId` of `tasks/*`, name or uri of `params.ref` of `completion/complete`; for any other
   * method the first there is of `params.name`, `params.uri`, `params.taskId`.
   */
  readonly name: string
  /** The exact JSON source text of the id, as `9007199254740993` or `"1"`; `''` when absent or null. */
  readonly idText: string
  /**
   * `params._meta["io.modelcontextprotocol/protocolVersion"]`: `null` when there is no such key, `''` when its value is
   * not a string. A key at all says "modern" (MCP 2026-07-28).
   */
  readonly metaVersion: string | null
  /** Whether `params._meta["io.modelcontextprotocol/clientCapabilities"]` is an object. */
  readonly hasMetaCapabilities: boolean
  /** A response with an `error` member. */
  readonly isError: boolean
  /** A response whose `result.isError` is true. */
  readonly toolError: boolean
  /** `error.code` of a response, 0 when there is none. */
  readonly errorCode: number
  /** Range of the value of `result.content` in the message, the last one where there are several; -1 = there is none. */
  readonly contentStart: number
  readonly contentEnd: number
  /** Deepest nesting of objects and arrays; the message itself is 1. */
  readonly depth: number

  constructor(
    kind: Kind,
    method: string,
    name: string,
    idText: string,
    metaVersion: string | null,
    hasMetaCapabilities: boolean,
    isError: boolean,
    toolError: boolean,
    errorCode: number,
    contentStart: number,
    contentEnd: number,
    depth: number,
  ) {
    this.kind = kind
    this.method = method
    this.name = name
    this.idText = idText
    this.metaVersion = metaVersion
    this.hasMetaCapabilities = hasMetaCapabilities
    this.isError = isError
    this.toolError = toolError
    this.errorCode = errorCode
    this.contentStart = contentStart
    this.contentEnd = contentEnd
    this.depth = depth
  }

  /** The id as a value, decoded on each call; `null` when absent. Integers above 2^53 lose digits here. */
  get id(): string | number | null {
    return this.idText === '' ? null : (JSON.parse(this.idText) as string | number)
  }
}
