import { ends, starts } from '../../message/found.ts'
import { SLOT } from '../../message/keys.ts'
import { findMember, member } from './member.ts'

/** Nesting allowed in messages of servers and clients: the chain has limits of its own. */
export const MAX_DEPTH = 10_000
/** Most messages in one batch (2025-03-26), either way. */
export const MAX_BATCH = 1_000

export const MODERN_VERSION = '2026-07-28'
export const LATEST_LEGACY_VERSION = '2025-11-25'
const PREFIX = 'io.modelcontextprotocol/'
export const SUBSCRIPTION_KEY = `${PREFIX}subscriptionId`
const LOG_LEVEL = Buffer.from(`"${PREFIX}logLevel"`)

/** Whom servers see, where the bridge speaks for itself. */
export const CLIENT_INFO = { name: 'sluice', version: '0.1.0' }

/** The `_meta` of a modern request of the bridge's own. */
export const OWN_META = {
  [`${PREFIX}protocolVersion`]: MODERN_VERSION,
  [`${PREFIX}clientCapabilities`]: {},
  [`${PREFIX}clientInfo`]: CLIENT_INFO,
}

/** Position of a value in the message that was scanned last; -1 = there is none. To be read at once. */
export function startOf(slot: number): number {
  return starts[slot] as number
}

export function endOf(slot: number): number {
  return ends[slot] as number
}

/** Whether `params._meta` of the message scanned last has a log level. A key that is spelled with escapes has not. */
export function wantsLog(message: Buffer): boolean {
  const start = startOf(SLOT.meta)
  return start >= 0 && message.subarray(start, endOf(SLOT.meta)).includes(LOG_LEVEL)
}

/** The integer a range spells, as our own ids and tokens are; -1 = something else. */
export function integerAt(bytes: Buffer, start: number, end: number): number {
  if (start < 0 || end - start > 15 || end === start) return -1
  let value = 0
  for (let i = start; i < end; i++) {
    const digit = (bytes[i] as number) - 0x30
    if (digit < 0 || digit > 9) return -1
    value = value * 10 + digit
  }
  return value
}

/** Finds `progressToken` in `params._meta` of the request scanned last; its range is in `member`. */
export function findProgressToken(message: Buffer): boolean {
  return findMember(message, startOf(SLOT.meta), 'progressToken')
}

/** Finds the subscription id in `result._meta` of the answer scanned last; its range is in `member`. */
export function findResultSubscription(message: Buffer): boolean {
  return findMember(message, startOf(SLOT.result), '_meta') && findMember(message, member.start, SUBSCRIPTION_KEY)
}
