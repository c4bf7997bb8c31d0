import type { Direction } from '../api/index.ts'

interface MethodSpec {
  readonly kind: 'request' | 'notification'
  /** Which ways it travels. */
  readonly directions: readonly Direction[]
}

const asked: MethodSpec = { kind: 'request', directions: ['toServer'] }
const askedBack: MethodSpec = { kind: 'request', directions: ['toClient'] }
const askedBoth: MethodSpec = { kind: 'request', directions: ['toServer', 'toClient'] }
const told: MethodSpec = { kind: 'notification', directions: ['toServer'] }
const toldBack: MethodSpec = { kind: 'notification', directions: ['toClient'] }
const toldBoth: MethodSpec = { kind: 'notification', directions: ['toServer', 'toClient'] }

/**
 * The proxy's own name for opening the GET stream of a session. What comes on it may answer any earlier request
 * (resumption by `Last-Event-ID`), and nobody knows which.
 */
export const STREAM_METHOD = 'transport/stream'

/** The methods of all revisions from 2024-11-05 to 2026-07-28. Others pass as well: they are only unknown here. */
export const METHODS: ReadonlyMap<string, MethodSpec> = new Map([
  [STREAM_METHOD, asked],
  ['transport/close', asked],
  ['initialize', asked],
  ['server/discover', asked],
  ['ping', askedBoth],
  ['tools/list', asked],
  ['tools/call', asked],
  ['resources/list', asked],
  ['resources/templates/list', asked],
  ['resources/read', asked],
  ['resources/subscribe', asked],
  ['resources/unsubscribe', asked],
  ['prompts/list', asked],
  ['prompts/get', asked],
  ['completion/complete', asked],
  ['logging/setLevel', asked],
  ['subscriptions/listen', asked],
  ['tasks/get', askedBoth],
  ['tasks/update', asked],
  ['tasks/result', askedBoth],
  ['tasks/list', askedBoth],
  ['tasks/cancel', askedBoth],
  ['sampling/createMessage', askedBack],
  ['elicitation/create', askedBack],
  ['roots/list', askedBack],
  ['notifications/initialized', told],
  ['notifications/roots/list_changed', told],
  ['notifications/cancelled', toldBoth],
  ['notifications/progress', toldBoth],
  ['notifications/tasks', toldBoth],
  ['notifications/tasks/status', toldBoth],
  ['notifications/message', toldBack],
  ['notifications/resources/updated', toldBack],
  ['notifications/resources/list_changed', toldBack],
  ['notifications/tools/list_changed', toldBack],
  ['notifications/prompts/list_changed', toldBack],
  ['notifications/elicitation/complete', toldBack],
  ['notifications/subscriptions/acknowledged', toldBack],
])

/** What a client may be answering when nobody knows the question. */
export const SERVER_REQUEST_METHODS: readonly string[] = [...METHODS]
  .filter(([, spec]) => spec.kind === 'request' && spec.directions.includes('toClient'))
  .map(([method]) => method)
