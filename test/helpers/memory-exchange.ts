import type { Hooks, Kind, Look } from '#api'
import { PendingRequests } from '../../proxy/chain/pending.ts'
import type { Era, Inbound, RelayServices } from '../../proxy/chain/ports.ts'
import { Relay } from '../../proxy/chain/relay.ts'
import { ToolTable } from '../../proxy/chain/tool-table.ts'
import { Envelope } from '../../proxy/message/envelope.ts'
import { WireMessage } from '../../proxy/message/message.ts'
import { scan } from '../../proxy/message/scan.ts'
import type { Phase, Phases, Plan, PlanTable, Step } from '../../proxy/policy/plan.ts'
import { MemoryReply, type MemoryUpstream } from '../../proxy/testing/memory-upstream.ts'
import type { Upstream } from '../../proxy/upstream/upstream.ts'

/** One chain entry for a table made by hand. */
export interface Entry {
  // biome-ignore lint/suspicious/noExplicitAny: each entry of a test has a state of its own type
  readonly hooks: Hooks<any>
  readonly looks?: { readonly [K in Kind]?: Look }
  readonly onFailure?: 'open' | 'closed'
  readonly mode?: 'enforce' | 'shadow'
  readonly timeoutMs?: number
  readonly answer?: 'auto' | 'result' | 'error'
  readonly recheck?: boolean
}

const JSON_LOOK: Look = { need: 'json', edits: true }

/** A plan table in which every entry applies to everything. */
export function tableOf(entries: readonly Entry[]): PlanTable & { retained: number } {
  const steps = entries.map(stepOf)
  const plan: Plan = {
    toServer: phases(entries, steps),
    toClient: phases(entries, steps.toReversed()),
    ends: entries.some(({ hooks }) => hooks.end !== undefined) ? steps : null,
  }
  return {
    generation: 1,
    slots: entries.length,
    entries: steps.map(({ entry }) => entry),
    retained: 0,
    find: () => plan,
    rechecks: () => plan.toServer.request?.steps.filter(step => step.recheck) ?? [],
    looksAtStreams: () => plan.toClient.request !== null || plan.toClient.notification !== null,
    retain() {
      this.retained++
    },
    release() {
      this.retained--
    },
  }
}

function stepOf(entry: Entry, slot: number): Step {
  return {
    slot,
    entry: `entry-${slot}`,
    mode: entry.mode ?? 'enforce',
    hooks: entry.hooks,
    condition: null,
    need: 'json',
    edits: true,
    maxBytes: 4 * 1024 * 1024,
    tooBig: 'deny',
    onFailure: entry.onFailure ?? 'closed',
    timeoutMs: entry.timeoutMs ?? 5_000,
    recheck: entry.recheck ?? false,
    answer: entry.answer ?? 'auto',
  }
}

function phases(entries: readonly Entry[], steps: readonly Step[]): Phases {
  const phase = (kind: Kind): Phase | null => {
    const those = steps.filter(step => entries[step.slot]?.hooks[kind] !== undefined)
    if (those.length === 0) return null
    const look = entries[those[0]?.slot ?? 0]?.looks?.[kind] ?? JSON_LOOK
    return { steps: those, need: look.need, edits: true, maxBytes: 4 * 1024 * 1024, again: 0 }
  }
  return { request: phase('request'), response: phase('response'), notification: phase('notification') }
}

export interface MemoryExchange {
  readonly relay: Relay
  readonly reply: MemoryReply
  readonly upstream: MemoryUpstream
}

/** Runs one message through a chain without a socket. `start()` is the caller's. */
export function memoryExchange(
  table: PlanTable,
  upstream: MemoryUpstream,
  body: string,
  era: Era = 'legacy',
): MemoryExchange {
  const envelope = scan(Buffer.from(body), 128)
  if (!(envelope instanceof Envelope)) throw new Error(envelope.text)
  const reply = new MemoryReply()
  const message = new WireMessage('toServer', envelope, Buffer.from(body), envelope.method, envelope.name)
  const relay = new Relay(servicesOf(table), inboundOf(upstream, era), reply, message)
  return { relay, reply, upstream }
}

export function servicesOf(table: PlanTable): RelayServices {
  return {
    plans: { current: table },
    pending: new PendingRequests(),
    tools: new ToolTable(),
    firstByteTimeoutMs: 1_000,
    idleTimeoutMs: 1_000,
    maxDepth: 128,
    maxEventBytes: 1024 * 1024,
    sealSession: (_server, _replica, upstreamId) => `sealed-${upstreamId}`,
  }
}

export function inboundOf(upstream: Upstream, era: Era): Inbound {
  return {
    httpMethod: 'POST',
    server: 'demo',
    upstream,
    era,
    principal: { id: 'anonymous', via: 'anonymous' },
    session: null,
    rawHeaders: ['Content-Type', 'application/json'],
    upstreamHeaders: ['content-type', 'application/json'],
    acceptEncoding: '',
    query: '',
    startedMs: performance.now(),
    forwardAuthorization: false,
    wholeEvents: false,
  }
}
