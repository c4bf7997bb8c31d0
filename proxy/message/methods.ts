import { sameAscii } from '../base/bytes.ts'

/** Which member of `params` says what a method is about; `ref` = the name or uri in `params.ref`; `any` = the first found. */
export type NameField = 'name' | 'uri' | 'taskId' | 'ref' | 'any'

/** A method that needs no new string when it is met on the wire. */
export interface KnownMethod {
  readonly text: string
  readonly field: NameField
}

const NAMED: Readonly<Record<string, NameField>> = {
  'tools/call': 'name',
  'prompts/get': 'name',
  'resources/read': 'uri',
  'resources/subscribe': 'uri',
  'resources/unsubscribe': 'uri',
  'completion/complete': 'ref',
}

/** The methods of every MCP revision from 2024-11-05 to 2026-07-28 and of the tasks extension. */
export const KNOWN_METHODS: readonly string[] = [
  'initialize',
  'ping',
  'server/discover',
  'tools/list',
  'tools/call',
  'prompts/list',
  'prompts/get',
  'resources/list',
  'resources/templates/list',
  'resources/read',
  'resources/subscribe',
  'resources/unsubscribe',
  'subscriptions/listen',
  'completion/complete',
  'logging/setLevel',
  'roots/list',
  'sampling/createMessage',
  'elicitation/create',
  'tasks/get',
  'tasks/result',
  'tasks/list',
  'tasks/update',
  'tasks/cancel',
  'notifications/initialized',
  'notifications/cancelled',
  'notifications/progress',
  'notifications/message',
  'notifications/tools/list_changed',
  'notifications/prompts/list_changed',
  'notifications/resources/list_changed',
  'notifications/resources/updated',
  'notifications/roots/list_changed',
  'notifications/elicitation/complete',
  'notifications/subscriptions/acknowledged',
  'notifications/tasks',
  'notifications/tasks/status',
]

const BUCKETS = 128
const buckets: KnownMethod[][] = Array.from({ length: BUCKETS }, () => [])

/** Spreads the table by length, middle and last byte; not empty. */
function bucketOf(length: number, middle: number, last: number): number {
  return (length * 5 + middle * 3 + last) & (BUCKETS - 1)
}

for (const text of KNOWN_METHODS) {
  const bucket = bucketOf(text.length, text.charCodeAt(text.length >> 1), text.charCodeAt(text.length - 1))
  ;(buckets[bucket] as KnownMethod[]).push({ text, field: nameField(text) })
}

/** The known method that these bytes spell, `null` when they spell none. */
export function knownMethod(bytes: Buffer, start: number, end: number): KnownMethod | null {
  const length = end - start
  if (length < 4) return null
  const bucket = bucketOf(length, bytes[start + (length >> 1)] as number, bytes[end - 1] as number)
  const candidates = buckets[bucket] as KnownMethod[]
  for (let k = 0; k < candidates.length; k++) {
    const method = candidates[k] as KnownMethod
    if (method.text.length === length && sameAscii(bytes, start, method.text)) return method
  }
  return null
}

/** Where a method, known or not, says what it is about. */
export function nameField(method: string): NameField {
  return Object.hasOwn(NAMED, method) ? (NAMED[method] as NameField) : method.startsWith('tasks/') ? 'taskId' : 'any'
}
