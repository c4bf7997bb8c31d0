import { Envelope } from '../message/envelope.ts'
import { scan } from '../message/scan.ts'

/** Largest 400 answer that is read to find out whether it means "no such session". */
export const DEAD_SESSION_BYTES = 16_384

/**
 * Whether a 400 to a request of a known session means that the server has forgotten it: many servers answer so where
 * the specification wants 404 (2025-11-25, Streamable HTTP, "Session Management"), and only 404 makes a client start over.
 */
export function isDeadSession(body: Buffer): boolean {
  if (body.length === 0 || body.length > DEAD_SESSION_BYTES) return false
  const envelope = scan(body, 16)
  const text = body.toString('latin1')
  const isError = envelope instanceof Envelope ? envelope.isError : text.includes('"error"')
  return isError && /-32000/.test(text) && /session|not initialized/i.test(text)
}
