import type { Principal } from '../api/index.ts'
import type { Inbound } from '../chain/ports.ts'
import type { Plan, PlanTable } from '../policy/plan.ts'

/** Who sends a message, and where to. */
export interface ProbeContext {
  /** Default `demo`. */
  readonly server?: string
  /** The client's name, authenticated by an API key, or a whole principal. Default: anonymous. */
  readonly client?: string | Principal
  /** Default `null`. */
  readonly session?: string | null
  readonly headers?: Readonly<Record<string, string>>
}

/** The client's side of an exchange that never reaches a network. */
export function probeInbound({ server = 'demo', client, session = null, headers = {} }: ProbeContext): Inbound {
  return {
    httpMethod: 'POST',
    server,
    upstream: NOBODY_THERE,
    era: 'legacy',
    principal: principal(client),
    session: session === null ? null : { replica: '', upstreamId: '', fingerprint: session },
    rawHeaders: Object.entries(headers).flat(),
    upstreamHeaders: [],
    acceptEncoding: '',
    query: '',
    startedMs: performance.now(),
    forwardAuthorization: false,
    wholeEvents: false,
  }
}

function principal(client: string | Principal | undefined): Principal {
  if (client === undefined) return { id: 'anonymous', via: 'anonymous' }
  return typeof client === 'string' ? { id: client, via: 'api-key' } : client
}

const NOBODY_THERE: Inbound['upstream'] = {
  ready: false,
  send() {
    throw new Error('a probe has no server: give it a "call" option')
  },
  close: () => Promise.resolve(),
}

const NOBODY_LOOKS = { request: null, response: null, notification: null }
const NO_PLAN: Plan = { toServer: NOBODY_LOOKS, toClient: NOBODY_LOOKS, ends: null }

/** A table of one entry; the probe brings its steps itself. */
export function probeTable(entry: string): PlanTable {
  return {
    generation: 1,
    slots: 1,
    entries: [entry],
    find: () => NO_PLAN,
    rechecks: () => [],
    looksAtStreams: () => false,
    retain() {},
    release() {},
  }
}
