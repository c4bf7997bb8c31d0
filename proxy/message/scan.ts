import type { Envelope } from './envelope.ts'

/** Why bytes are not one acceptable JSON-RPC message. */
export class ScanFault {
  /** `parse_error`: not JSON. `invalid_request`: JSON, but not a message that all parsers read alike. */
  readonly code: 'parse_error' | 'invalid_request'
  /** For the client; never holds a value of the message. */
  readonly text: string
  /** Byte offset where it was noticed. */
  readonly offset: number
  /** Source text of the message's id, `''` when it could not be read: an error answer carries it. */
  readonly idText: string

  constructor(code: 'parse_error' | 'invalid_request', text: string, offset: number, idText: string) {
    this.code = code
    this.text = text
    this.offset = offset
    this.idText = idText
  }
}

/** One element of a JSON-RPC batch: its byte range in the body, and what it is. */
export interface BatchItem {
  readonly start: number
  readonly end: number
  readonly envelope: Envelope | ScanFault
}

export function scan(_bytes: Buffer, _maxDepth: number): Envelope | ScanFault {
  throw new Error('soon')
}

export function scanBatch(_bytes: Buffer, _maxDepth: number, _maxItems: number): BatchItem[] | ScanFault {
  throw new Error('soon')
}

/** Whether the first byte that is not white space opens an array. */
export function startsWithArray(bytes: Buffer): boolean {
  let i = 0
  while (i < bytes.length && (bytes[i] === 0x20 || bytes[i] === 0x0a || bytes[i] === 0x0d || bytes[i] === 0x09)) i++
  return bytes[i] === 0x5b
}
