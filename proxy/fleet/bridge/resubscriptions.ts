import type { Json, JsonObject } from '../../api/index.ts'
import { type Call, LISTEN } from './call.ts'
import { SUBSCRIPTION_KEY } from './wire.ts'

/** Processes in a row that a subscription may outlive. */
const MAX_TRIES = 3
/** One that held for this long counts as good. */
const GOOD_MS = 60_000

/** What is known of one subscription. */
interface Subscription {
  acknowledgedMs: number
  tries: number
  /** Whether it waits for the acknowledgement of another process. */
  again: boolean
}

/** Each kind of change a subscription can ask for, and the notification about it. */
const KINDS: readonly (readonly [key: string, method: string])[] = [
  ['toolsListChanged', 'notifications/tools/list_changed'],
  ['promptsListChanged', 'notifications/prompts/list_changed'],
  ['resourcesListChanged', 'notifications/resources/list_changed'],
]

/**
 * Subscriptions that outlive their process: a client has heard one acknowledgement and must not hear another. What may
 * have changed in between is told as changed.
 */
export class Resubscriptions {
  private readonly known: Map<Call, Subscription>

  constructor() {
    this.known = new Map()
  }

  acknowledged(call: Call): void {
    this.known.set(call, { acknowledgedMs: performance.now(), tries: 0, again: false })
  }

  forget(call: Call): void {
    this.known.delete(call)
  }

  /** Whether its client has the acknowledgement already. */
  isKnown(call: Call): boolean {
    return this.known.has(call)
  }

  /** Whether a subscription whose process has ended is to be sent to the next one. It is then among `pending`. */
  mayTryAgain(call: Call): boolean {
    const subscription = call.method === LISTEN ? this.known.get(call) : undefined
    if (subscription === undefined) return false
    const held = !subscription.again && performance.now() - subscription.acknowledgedMs > GOOD_MS
    subscription.tries = held ? 1 : subscription.tries + 1
    subscription.again = subscription.tries <= MAX_TRIES
    return subscription.again
  }

  /** Those that are to be sent again. */
  pending(): Call[] {
    return [...this.known].filter(([, subscription]) => subscription.again).map(([call]) => call)
  }

  /** The new process has acknowledged: what its client may have missed, as notifications. */
  missed(call: Call, acknowledgement: Buffer): Buffer[] {
    const subscription = this.known.get(call)
    if (subscription === undefined) return []
    subscription.again = false
    subscription.acknowledgedMs = performance.now()
    const { params } = JSON.parse(acknowledgement.toString()) as { params?: { notifications?: JsonObject } }
    const honoured = params?.notifications ?? {}
    const lists = KINDS.filter(([key]) => honoured[key] === true).map(([, method]) => notification(call, method, null))
    const uris = honoured['resourceSubscriptions']
    return lists.concat(Array.isArray(uris) ? uris.map(uri => notification(call, UPDATED, uri)) : [])
  }
}

const UPDATED = 'notifications/resources/updated'

function notification(call: Call, method: string, uri: Json | null): Buffer {
  const resource = uri === null ? '' : `"uri":${JSON.stringify(uri)},`
  const meta = `"_meta":{"${SUBSCRIPTION_KEY}":${call.idText}}`
  return Buffer.from(`{"jsonrpc":"2.0","method":"${method}","params":{${resource}${meta}}}`)
}
