import { peekKind } from '../../message/peek.ts'

/** What a message that was too long to read must have been. */
export interface OversizeFacts {
  readonly kind: 'request' | 'notification' | 'response' | 'unknown'
  /** Source text of its id; `''` = it cannot be seen. */
  readonly idText: string
}

const ID = String.raw`"id"\s*:\s*(-?\d+|"(?:[^"\\]|\\.)*")`
/** An id before anything that could have members of its own. */
const FIRST = new RegExp(String.raw`^\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?${ID}\s*[,}]`)
/** An id that is followed by the message's own closing brace, or only by its `jsonrpc`. */
const LAST = new RegExp(String.raw`[,{]\s*${ID}\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$`)
const METHOD_LAST = /"method"\s*:\s*"[^"]*"\s*(?:,\s*"(?:id|jsonrpc)"\s*:\s*[^,{}]*)*\}\s*$/

/**
 * Finds out what a message was by its first and last bytes: SDKs write the id at one of both ends. Only an id that
 * certainly is the message's own is taken.
 */
export function oversizeId(head: Buffer, tail: Buffer): OversizeFacts {
  const first = head.toString('latin1')
  const last = tail.toString('latin1')
  const idText = FIRST.exec(first)?.[1] ?? LAST.exec(last)?.[1] ?? ''
  const kind = peekKind(head, 0, head.length)
  if (kind === 'method' || METHOD_LAST.test(last)) return { kind: idText === '' ? 'notification' : 'request', idText }
  if (idText !== '') return { kind: 'response', idText }
  return { kind: 'unknown', idText }
}
