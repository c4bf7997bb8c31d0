import { PendingRequests } from '../../chain/pending.ts'
import type { RelayServices } from '../../chain/ports.ts'
import { ToolTable } from '../../chain/tool-table.ts'
import { type CompiledPolicy, compilePolicies, type PolicyInput } from '../../policy/compile.ts'
import type { Phase } from '../../policy/plan.ts'
import type { Recording } from '../../shadow/recording.ts'
import { runAgain, type SecondRun } from '../../shadow/run-again.ts'
import { MemoryStore } from '../../store/memory.ts'
import { FrozenClock } from '../../testing/frozen-clock.ts'

const MAX_DEPTH = 10_000
const MAX_EVENT_BYTES = 64 * 1024 * 1024
/** Longest wait for one exchange: every hook has a limit of its own, which is shorter. */
const LIMIT_MS = 60_000
const QUIET = { debug() {}, info() {}, warn() {}, error() {} }
/** Entries that only write down what others decide. */
const ONLY_TELL = new Set(['audit'])

/** One policy with the real chain, for a corpus: its clock stands where the corpus is, its store is its own. */
export class ChainRun {
  readonly policy: CompiledPolicy
  readonly #clock: FrozenClock
  readonly #services: RelayServices

  private constructor(clock: FrozenClock, policy: CompiledPolicy, tools: ToolTable) {
    this.policy = policy
    this.#clock = clock
    this.#services = {
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

  /** @param now when the corpus begins. Rejects with a LoadError when the policy does not compile. */
  static async open(input: Omit<PolicyInput, 'services' | 'strict' | 'generation'>, now: number): Promise<ChainRun> {
    const clock = new FrozenClock(now)
    const tools = new ToolTable()
    const services: PolicyInput['services'] = {
      clock,
      logger: () => QUIET,
      store: new MemoryStore({ clock }),
      tools: server => tools.get(server),
      rehearsal: () => ({ record() {} }),
    }
    const policy = await compilePolicies({ ...input, services, strict: false, generation: 1 })
    return new ChainRun(clock, policy, tools)
  }

  /** Runs an exchange at the time at which it was recorded. */
  async run(recording: Recording): Promise<SecondRun> {
    const passed = recording.startedAt - this.#clock.now()
    if (passed > 0) this.#clock.advance(passed)
    const done = Promise.withResolvers<SecondRun>()
    const limit = setTimeout(() => done.reject(new Error('it did not end')), LIMIT_MS)
    try {
      runAgain(this.#services, recording, done.resolve)
      return await done.promise
    } finally {
      clearTimeout(limit)
    }
  }

  /** The entries that read values of this exchange. */
  readers({ server, method, name, principal, kind }: Recording): string[] {
    const { toServer, toClient } = this.policy.table.find(server, method, name, principal.id)
    const found = [toServer[kind], toClient.response, toClient.notification].flatMap(readersOf)
    const telling = new Set(this.policy.chain.filter(one => ONLY_TELL.has(one.interceptor.name)).map(one => one.name))
    return [...new Set(found)].filter(entry => !telling.has(entry))
  }

  /** Closes every entry. */
  async close(): Promise<void> {
    await this.policy.table.replace()
  }
}

function readersOf(phase: Phase | null): string[] {
  if (phase === null) return []
  return phase.steps.filter(({ need, mode }) => need !== 'envelope' && mode === 'enforce').map(({ entry }) => entry)
}
