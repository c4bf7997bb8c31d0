/** Which member of a JSON-RPC message comes first. */
export type PeekedKind = 'result' | 'error' | 'method' | 'unknown'

export function peekKind(_bytes: Buffer, _start: number, _end: number): PeekedKind {
  throw new Error('soon')
}

export function hasToolError(_bytes: Buffer): boolean {
  throw new Error('soon')
}
