import type { FleetLink } from '../upstream/replica-table.ts'

/** Tells nobody. */
export const SILENT_LINK: FleetLink = { wanted() {}, load() {}, suspect() {}, drained() {} }

/** A link whose other end is known later, or changes. */
export interface ForwardingLink extends FleetLink {
  target: FleetLink
}

export function forwardingLink(target: FleetLink): ForwardingLink {
  const link: ForwardingLink = {
    target,
    wanted: server => link.target.wanted(server),
    load: (server, inFlight, waiting) => link.target.load(server, inFlight, waiting),
    suspect: (server, replica) => link.target.suspect(server, replica),
    drained: (server, replica) => link.target.drained(server, replica),
  }
  return link
}
