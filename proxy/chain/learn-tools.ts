import type { JsonObject } from '../api/index.ts'
import type { WireMessage } from '../message/message.ts'
import type { Relay } from './relay.ts'

/** Remembers the tools of a list that is parsed anyway, as the server told them. */
export function learnTools(relay: Relay, answer: WireMessage): void {
  if (answer.method !== 'tools/list' || answer.envelope.isError) return
  if (relay.exchange.plan.toClient.response?.need !== 'json') return
  const params = relay.message.json()['params'] as JsonObject | undefined
  relay.services.tools.learn(relay.inbound.server, answer.json()['result'], params?.['cursor'] === undefined)
}
