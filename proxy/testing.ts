import {
  type CallOptions,
  type Environment,
  type Hooks,
  type Interceptor,
  isInterceptor,
  type JsonObject,
  type MaybeAsync,
  type Message,
} from './api/index.ts'
import { type ExchangeHost, LiveExchange } from './chain/exchange.ts'
import type { PlanTable } from './policy/plan.ts'
import { FrozenClock } from './testing/frozen-clock.ts'
import { type LogLine, type ProbeEnvironmentOptions, probeEnvironment } from './testing/probe-environment.ts'
import { ProbeExchange, type ProbeKit, type Seen } from './testing/probe-exchange.ts'
import { type ProbeContext, probeInbound, probeTable } from './testing/probe-inbound.ts'
import { type MessageInput, probeMessage } from './testing/probe-message.ts'
import { type EntryOptions, ProbeSteps } from './testing/probe-steps.ts'

export type { ProbeContext } from './testing/probe-inbound.ts'

export interface ProbeOptions extends ProbeEnvironmentOptions, EntryOptions {
  /** `options:` of the chain entry, as the policy file would say them. Default: none. */
  readonly options?: unknown
  /** Where the frozen clock begins. Default 2026-01-05T12:00:00Z, a Monday. */
  readonly now?: Date | string | number
  /** Answers `exchange.call`: gives `{ result: … }` or `{ error: … }`. Default: such a call is an error. */
  readonly call?: (message: JsonObject, options: CallOptions) => MaybeAsync<JsonObject>
  /**
   * What a hook that throws, times out or gives a verdict that makes no sense does to the test: `throw` (default) = the
   * test sees the error; `verdict` = it sees what the proxy would decide by `on_failure`.
   */
  readonly failures?: 'throw' | 'verdict'
}

/**
 * Runs one interceptor without a proxy, by the proxy's own runner: options are checked, looks, size and time limits hold.
 * @throws TypeError when the definition or the options are wrong
 */
export async function probe(definition: Interceptor, options: ProbeOptions = {}): Promise<Probe> {
  if (!isInterceptor(definition)) {
    throw new TypeError('probe(): expected what defineInterceptor() gives, usually a module’s default export')
  }
  const clock = new FrozenClock(options.now ?? '2026-01-05T12:00:00Z')
  const logs: LogLine[] = []
  const environment = probeEnvironment(definition.name, clock, logs, options.servers ?? ['demo'], options)
  const hooks = await definition.create(parseOptions(definition, options.options ?? {}), environment)
  return new Probe(definition, hooks, environment, clock, logs, options)
}

/** An interceptor under test. */
export class Probe {
  /** What `create` got; its store and logger are the test's own. */
  readonly environment: Environment
  readonly clock: FrozenClock
  /** Everything logged so far. */
  readonly logs: readonly LogLine[]
  private readonly hooks: Hooks<unknown>
  private readonly kit: ProbeKit
  private readonly host: ExchangeHost
  private readonly table: PlanTable

  constructor(
    definition: Interceptor,
    hooks: Hooks<unknown>,
    environment: Environment,
    clock: FrozenClock,
    logs: LogLine[],
    options: ProbeOptions,
  ) {
    this.environment = environment
    this.clock = clock
    this.logs = logs
    this.hooks = hooks
    this.kit = { steps: new ProbeSteps(definition, hooks, options), clock, logs, failures: options.failures ?? 'throw' }
    this.host = { call: (_, message, how) => answerCall(options.call, message, how) }
    this.table = probeTable(definition.name)
  }

  /** One request of a client, and what the request hook makes of it. */
  async request(message: MessageInput, context: ProbeContext = {}): Promise<Seen> {
    return this.exchange(message, context).request()
  }

  /** One answer of the server, and what the response hook makes of it. @param to the request it answers */
  async response(message: MessageInput, to: MessageInput, context: ProbeContext = {}): Promise<Seen> {
    return this.exchange(to, context).response(message)
  }

  /** One lone notification of a client. */
  async notification(message: MessageInput, context: ProbeContext = {}): Promise<Seen> {
    return this.begin(message, 'notification', context).notification(message, 'toServer')
  }

  /** An exchange of several messages, to be run one by one. */
  exchange(request: MessageInput, context: ProbeContext = {}): ProbeExchange {
    return this.begin(request, 'request', context)
  }

  /** What the proxy does when the policy that owns the interceptor is gone. */
  async close(): Promise<void> {
    await this.hooks.close?.()
  }

  private begin(first: MessageInput, kind: 'request' | 'notification', context: ProbeContext): ProbeExchange {
    const message = probeMessage(first, kind, 'toServer', null, undefined)
    const live = new LiveExchange(this.host, this.table, probeInbound(context), message)
    Object.assign(live, { startedAt: this.clock.now() })
    return new ProbeExchange(this.kit, live, first)
  }
}

function parseOptions(definition: Interceptor, given: unknown): unknown {
  const parsed = definition.options.safeParse(given)
  if (parsed.success) return parsed.data
  const issues = parsed.error.issues.map(issue => `${['options', ...issue.path].join('.')}: ${issue.message}`)
  throw new TypeError(`${definition.name}: ${issues.join('; ')}`)
}

async function answerCall(call: ProbeOptions['call'], message: JsonObject, how: CallOptions): Promise<Message> {
  if (call === undefined) {
    throw new Error(`the interceptor called "${message.method}": give probe() a "call" option that answers it`)
  }
  const asked = probeMessage({ ...message, id: 'call-1' }, 'request', 'toServer', null, undefined)
  return probeMessage(await call(message, how), 'response', 'toClient', asked, { need: 'json' })
}
