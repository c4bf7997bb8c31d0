import type { Direction, Json, JsonObject, Kind, Look, Need } from '../api/index.ts'
import type { Envelope } from '../message/envelope.ts'
import { WireMessage } from '../message/message.ts'
import { ScanFault, scan } from '../message/scan.ts'

/** A message as a test writes it: an object (`jsonrpc` and `id` may be left out), or exact JSON text or bytes. */
export type MessageInput = Readonly<Record<string, unknown>> | string | Uint8Array

/** Nesting a message may have here; the proxy's own limit is configurable. */
const MAX_DEPTH = 1000

const RANK: Readonly<Record<Need, number>> = { envelope: 0, bytes: 1, json: 2 }

/**
 * A message that holds a hook to the look it declared. In the proxy, reading more than that may work by luck, where
 * another interceptor looks closer; here it never does.
 */
export class ProbeMessage extends WireMessage {
  private readonly need: Need

  constructor(direction: Direction, envelope: Envelope, body: Buffer, method: string, name: string, need: Need) {
    super(direction, envelope, body, method, name)
    this.need = need
  }

  override bytes(): Buffer {
    this.require('bytes')
    return super.bytes()
  }

  override json(): Readonly<JsonObject> {
    this.require('json')
    return super.json()
  }

  override jsonWithoutContent(): Readonly<JsonObject> {
    this.require('json')
    return super.jsonWithoutContent()
  }

  private require(need: 'bytes' | 'json'): void {
    if (RANK[this.need] >= RANK[need]) return
    throw new TypeError(
      `${need}(): this interceptor's look at a ${this.kind} says need: '${this.need}'; ` +
        `declare looks: { ${this.kind}: { need: '${need}' } } to read it`,
    )
  }
}

/**
 * @param answered the request that a response answers; `null` where that is not known
 * @throws TypeError when `input` is not one JSON-RPC message of this kind
 */
export function probeMessage(
  input: MessageInput,
  kind: Kind,
  direction: Direction,
  answered: WireMessage | null,
  look: Look | undefined,
): ProbeMessage {
  const body = encode(input, kind, answered?.id ?? 1)
  const envelope = scan(body, MAX_DEPTH)
  if (envelope instanceof ScanFault) throw new TypeError(`not a JSON-RPC message: ${envelope.text}`)
  if (envelope.kind !== kind) {
    throw new TypeError(`this is a ${envelope.kind}, not a ${kind}: use ${envelope.kind}(…), or mend the message`)
  }
  const method = kind === 'response' ? (answered?.method ?? '') : envelope.method
  const name = kind === 'response' ? (answered?.name ?? '') : envelope.name
  return new ProbeMessage(direction, envelope, body, method, name, look?.need ?? 'envelope')
}

function encode(input: MessageInput, kind: Kind, id: Json): Buffer {
  if (typeof input === 'string') return Buffer.from(input)
  if (input instanceof Uint8Array) return Buffer.from(input)
  const frame = kind === 'notification' ? { jsonrpc: '2.0' } : { jsonrpc: '2.0', id }
  return Buffer.from(JSON.stringify({ ...frame, ...input }))
}
