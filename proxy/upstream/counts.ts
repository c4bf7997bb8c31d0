import { channels } from '../observe/channels.ts'

/** What the guards of a server did, as the label `event` of `sluice_upstream_events_total` says it. */
export type GuardEvent = 'retry' | 'retry_unsent' | 'hedge' | 'shed' | 'acquire_timeout' | 'circuit_open' | 'recovered'

export function count(server: string, event: GuardEvent): void {
  if (channels.guarded.hasSubscribers) channels.guarded.publish({ server, event })
}
