import { PendingRequests } from '../../chain/pending.ts'
import type { Inbound, RelayServices } from '../../chain/ports.ts'
import { Relay } from '../../chain/relay.ts'
import { ToolTable } from '../../chain/tool-table.ts'
import type { WireMessage } from '../../message/message.ts'
import { channels, type ExchangeEnd, type Notice } from '../../observe/channels.ts'
import { type CompiledPolicy, compilePolicies, type PolicyInput } from '../../policy/compile.ts'
import type { Registry } from '../../policy/registry.ts'
import type { RawGiven } from '../../policy/test-schema.ts'
import { MemoryStore } from '../../store/memory.ts'
import { FrozenClock } from '../frozen-clock.ts'
import { MemoryReply, MemoryUpstream } from '../memory-upstream.ts'
import { probeInbound } from '../probe-inbound.ts'
import { givenMessage } from './given.ts'
import { type Happened, readHappened } from './happened.ts'
import { ScriptedServer } from './scripted-server.ts'

/** A Monday at noon, as in `probe`. */
const DEFAULT_NOW = '2026-01-05T12:00:00Z'

/** Longest wait for the end of one exchange: every hook has a limit of its own, which is shorter. */
const EXCHANGE_LIMIT_MS = 60_000

const MAX_DEPTH = 1000
const MAX_EVENT_BYTES = 16 * 1024 * 1024

const QUIET = { debug() {}, info() {}, warn() {}, error() {} }

/** What a policy is compiled with, and tested by. */
export type RehearsalInput = Pick<PolicyInput, 'files' | 'inline' | 'servers' | 'env'> & { readonly registry: Registry }

/**
 * One policy, compiled as the proxy compiles it, run without a socket: the real chain from the client's message to the
 * client's answer, in front of a server that says what a test wants. Time stands still, the store is the test's own.
 */
export class Rehearsal {
  readonly clock: FrozenClock
  readonly policy: CompiledPolicy
  private readonly services: RelayServices
  private readonly records: string[]

  private constructor(clock: FrozenClock, policy: CompiledPolicy, tools: ToolTable, records: string[]) {
    this.clock = clock
    this.policy = policy
    this.records = records
    this.services = {
      plans: { current: policy.table },
      pending: new PendingRequests(),
      tools,
      firstByteTimeoutMs: 0,
      idleTimeoutMs: 0,
      maxDepth: MAX_DEPTH,
      maxEventBytes: MAX_EVENT_BYTES,
      sealSession: (_server, _replica, upstreamId) => upstreamId,
    }
  }

  /** @throws PolicyError, a LoadError, with every problem of the policy */
  static async open(input: RehearsalInput, now: string | undefined): Promise<Rehearsal> {
    const clock = new FrozenClock(now ?? DEFAULT_NOW)
    const tools = new ToolTable()
    const records: string[] = []
    const rehearsal = { record: (text: string) => void records.push(text) }
    const services: PolicyInput['services'] = {
      clock,
      logger: () => QUIET,
      store: new MemoryStore({ clock }),
      tools: server => tools.get(server),
      rehearsal: () => rehearsal,
    }
    const policy = await compilePolicies({ ...input, services, strict: false, generation: 1 })
    return new Rehearsal(clock, policy, tools, records)
  }

  /**
   * Sends one message and waits until its exchange has ended.
   * @throws TypeError when the message is none
   */
  async run(given: RawGiven, server: string, baseDir: string): Promise<Happened> {
    const message = givenMessage(given, baseDir)
    const script = new ScriptedServer(given, message)
    const upstream = new MemoryUpstream((sink, request) => script.answer(sink, request))
    const reply = new MemoryReply()
    const relay = new Relay(this.services, inboundOf(given, server, upstream, message), reply, message)
    Object.assign(relay.exchange, { startedAt: this.clock.now() })
    this.records.length = 0
    const notices: Notice[] = []
    const outcome = await watched(relay, notices)
    return readHappened({ outcome, reply, sent: script.sent, records: [...this.records], notices })
  }

  /** Closes every entry. */
  async close(): Promise<void> {
    await this.policy.table.replace()
  }
}

function inboundOf(given: RawGiven, server: string, upstream: MemoryUpstream, message: WireMessage): Inbound {
  const client = given.client === undefined || given.client === 'anonymous' ? {} : { client: given.client }
  const context = { server, session: given.session ?? null, headers: given.headers ?? {}, ...client }
  const era = message.envelope.metaVersion === null ? 'legacy' : 'modern'
  return { ...probeInbound(context), upstream, era, upstreamHeaders: ['content-type', 'application/json'] }
}

/** Runs an exchange to its end. */
async function watched(relay: Relay, notices: Notice[]): Promise<ExchangeEnd['outcome']> {
  const { id } = relay.exchange
  const ended = Promise.withResolvers<ExchangeEnd['outcome']>()
  const onEnd = (end: unknown): void => {
    if ((end as ExchangeEnd).id === id) ended.resolve((end as ExchangeEnd).outcome)
  }
  const onNotice = (notice: unknown): void => void notices.push(notice as Notice)
  const limit = setTimeout(() => ended.reject(new Error('the exchange did not end')), EXCHANGE_LIMIT_MS)
  channels.exchangeEnd.subscribe(onEnd)
  channels.notice.subscribe(onNotice)
  try {
    relay.start()
    return await ended.promise
  } finally {
    clearTimeout(limit)
    channels.exchangeEnd.unsubscribe(onEnd)
    channels.notice.unsubscribe(onNotice)
  }
}
