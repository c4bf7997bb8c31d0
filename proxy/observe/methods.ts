/**
 * Every method a client, or a server towards its client, may send in the revisions 2024-11-05 to 2026-07-28, with the
 * task extension. Anything else is `other` in metrics, so that clients cannot invent series.
 */
const KNOWN: ReadonlySet<string> = new Set([
  'initialize',
  'ping',
  'server/discover',
  'subscriptions/listen',
  'tools/list',
  'tools/call',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'prompts/list',
  'prompts/get',
  'completion/complete',
  'logging/setLevel',
  'tasks/get',
  'tasks/update',
  'tasks/result',
  'tasks/list',
  'tasks/cancel',
  'sampling/createMessage',
  'elicitation/create',
  'roots/list',
  'notifications/initialized',
  'notifications/cancelled',
  'transport/stream',
  'transport/close',
  'transport/batch',
  'notifications/progress',
  'notifications/message',
  'notifications/roots/list_changed',
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/elicitation/complete',
  'notifications/subscriptions/acknowledged',
  'notifications/tasks',
  'notifications/tasks/status',
])

/** What stands for everything that has no label of its own. */
export const OTHER = 'other'

/**
 * The `method` label of an exchange: a method of the protocol, else `other`. An exchange without a method is `get_stream`
 * (GET), `delete_session` (DELETE) or `response` (a client's answer to a server's request).
 */
export function methodLabel(method: string, httpMethod: string): string {
  if (method !== '') return KNOWN.has(method) ? method : OTHER
  if (httpMethod === 'GET') return 'get_stream'
  return httpMethod === 'DELETE' ? 'delete_session' : 'response'
}
