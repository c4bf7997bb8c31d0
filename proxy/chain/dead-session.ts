import { Envelope } from '../message/envelope.ts'
import { scan } from '../message/scan.ts'

/** Largest 400 answer that is read to find out whether it means "no such session". */
export const DEAD_SESSION_BYTES = 16_384

/** Codes under which servers say it. */
const CODES = new Set([-32000, -32001, -32600])
const WORDS = /not initialized|session/i
const TROUBLE = /not initialized|not found|no valid|invalid|unknown|missing|expired|terminated|closed|does not exist/i

/**
 * Whether a 400 to a request of a known session means that the server has forgotten it: many servers answer so, in JSON
 * or in plain text, where the specification wants 404 (2025-11-25, Streamable HTTP, "Session Management"), and only 404
 * makes a client start over.
 */
export function isDeadSession(body: Buffer): boolean {
  if (body.length === 0 || body.length > DEAD_SESSION_BYTES) return false
  const envelope = scan(body, 16)
  if (envelope instanceof Envelope && !CODES.has(envelope.errorCode)) return false
  const text = body.toString('latin1')
  return WORDS.test(text) && TROUBLE.test(text)
}
