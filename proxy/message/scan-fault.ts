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
