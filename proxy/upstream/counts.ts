import { channels } from '../observe/channels.ts'

/** What the guards of a server did, as the label `event` says it. */
export type GuardEvent = 'retry' | 'retry_unsent' | 'hedge' | 'shed' | 'acquire_timeout' | 'circuit_open' | 'recovered'

const LABELS = ['server', 'event']

/** Counts it as `sluice_upstream_events_total`. */
export function count(server: string, event: GuardEvent): void {
  if (!channels.counted.hasSubscribers) return
  channels.counted.publish({
    name: 'sluice_upstream_events_total',
    help: 'What the guards of a server did: retries, hedges, requests shed, waits given up, circuits opened.',
    labels: LABELS,
    by: 1,
    values: [server, event],
  })
}
