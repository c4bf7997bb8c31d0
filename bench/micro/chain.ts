/**
 * What each interceptor of the full chain adds to an exchange: `node bench/micro/chain.ts`. One process, no sockets, so that
 * differences of less than a microsecond show: the client's message is read, goes through the chain to a server that answers
 * at once, and its answer comes back up. All chains take turns; the best round of each counts. Garbage collection and
 * background writes are in the figures as far as they fall into a round. Bytes are those that an exchange allocates.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PendingRequests } from '../../proxy/chain/pending.ts'
import type { Inbound, RelayServices, ReplyPort } from '../../proxy/chain/ports.ts'
import { Relay } from '../../proxy/chain/relay.ts'
import { ToolTable } from '../../proxy/chain/tool-table.ts'
import type { Envelope } from '../../proxy/message/envelope.ts'
import { WireMessage } from '../../proxy/message/message.ts'
import { scan } from '../../proxy/message/scan.ts'
import { Metrics } from '../../proxy/observe/metrics.ts'
import { type CompiledPolicy, compilePolicies } from '../../proxy/policy/compile.ts'
import { Registry } from '../../proxy/policy/registry.ts'
import { MemoryStore } from '../../proxy/store/memory.ts'
import { answerWith, MemoryUpstream } from '../../proxy/testing/memory-upstream.ts'
import { probeInbound } from '../../proxy/testing/probe-inbound.ts'
import type { UpstreamRequest, UpstreamSink } from '../../proxy/upstream/upstream.ts'
import { readPolicy } from '../harness/policy.ts'
import { allocatedBy } from '../lib/micro.ts'
import { toolList, type Workload, workloads } from '../lib/payload.ts'

const FULL_CHAIN = join(import.meta.dirname, '..', 'policies', 'full-chain.yaml')
const ROUNDS = 150
const BATCH = 60
const WARM_UP = 4000
const CHAINS: readonly (readonly string[])[] = [
  [],
  ['audit'],
  ['access'],
  ['rate-limit'],
  ['schema'],
  ['secret-scan'],
  ['schema', 'secret-scan'],
  ['audit', 'access', 'rate-limit', 'schema', 'secret-scan'],
]

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
const clock = { now: () => Date.now(), monotonic: () => performance.now() }
const quiet = { debug() {}, info() {}, warn() {}, error() {} }
const registry = await Registry.load({ dirs: [], modules: [], baseDir: folder })

class Nowhere implements ReplyPort {
  started = false
  status = 0
  bytes = 0
  head(status: number): void {
    this.status = status
  }
  flush(): void {}
  write(chunk: Uint8Array): boolean {
    this.bytes += chunk.byteLength
    return true
  }
  end(chunk: Uint8Array | null): void {
    this.started = true
    this.bytes += chunk === null ? 0 : chunk.byteLength
  }
  destroy(): void {}
}

/** One chain in front of one answer. */
class Setup {
  readonly name: string
  readonly workload: Workload
  readonly #policy: CompiledPolicy
  readonly #services: RelayServices
  readonly #upstream: MemoryUpstream
  best = Number.POSITIVE_INFINITY

  constructor(name: string, workload: Workload, policy: CompiledPolicy) {
    this.name = name
    this.workload = workload
    this.#policy = policy
    this.#upstream = new MemoryUpstream((sink, request) => this.#answer(sink, request))
    this.#services = {
      plans: { current: policy.table },
      pending: new PendingRequests(),
      tools: new ToolTable(),
      firstByteTimeoutMs: 0,
      idleTimeoutMs: 0,
      maxDepth: 128,
      maxEventBytes: 16 * 1024 * 1024,
      sealSession: (_server, _replica, upstreamId) => upstreamId,
    }
  }

  /** One exchange; a chain that knows its tools is done when this returns. */
  run(): number {
    const { requestBody, requestHeaders } = this.workload
    const message = new WireMessage('toServer', scan(requestBody, 128) as Envelope, requestBody, '', '')
    message.method = message.envelope.method
    message.name = message.envelope.name
    const fields = Object.entries(requestHeaders).flat()
    const inbound: Inbound = {
      ...probeInbound({ server: 'bench' }),
      upstream: this.#upstream,
      era: 'modern',
      rawHeaders: fields,
      upstreamHeaders: fields.map((text, i) => (i % 2 === 0 ? text.toLowerCase() : text)),
      startedMs: performance.now(),
    }
    const reply = new Nowhere()
    new Relay(this.#services, inbound, reply, message).start()
    this.#upstream.requests.length = 0
    return reply.bytes
  }

  close(): Promise<void> {
    return Promise.resolve(this.#policy.table.replace())
  }

  #answer(sink: UpstreamSink, request: UpstreamRequest): void {
    const body = request.body as Buffer
    if (!body.includes('"tools/list"')) {
      answerWith(sink, 200, 'application/json', this.workload.answerBody)
      return
    }
    const { id } = JSON.parse(body.toString()) as { id: unknown }
    const result = { tools: toolList, ttlMs: 3_600_000, cacheScope: 'public', resultType: 'complete' }
    answerWith(sink, 200, 'application/json', Buffer.from(JSON.stringify({ jsonrpc: '2.0', id, result })))
  }
}

async function setupOf(uses: readonly string[], workload: Workload): Promise<Setup> {
  const name = uses.length === 0 ? 'pass-through' : uses.length === 5 ? 'all of them' : uses.join(' + ')
  const file = join(folder, `${uses.join('+')}.yaml`)
  if (uses.length > 0) writeFileSync(file, JSON.stringify(readPolicy(FULL_CHAIN, uses)))
  const policy = await compilePolicies({
    files: uses.length === 0 ? [] : [file],
    servers: ['bench'],
    registry,
    services: { clock, logger: () => quiet, store: new MemoryStore({ clock }), tools: () => null },
    env: {},
    strict: false,
    generation: 1,
  })
  return new Setup(name, workload, policy)
}

function pause(): Promise<void> {
  return new Promise(resolve => setImmediate(resolve))
}

async function warmUp(setup: Setup): Promise<void> {
  const { answerBody } = setup.workload
  for (let i = 0; i < WARM_UP; i++) {
    const bytes = setup.run()
    if (i % 100 === 0) await pause()
    // The first one may wait for the list of tools.
    if (i > 200 && bytes !== answerBody.length) throw new Error(`${setup.name}: ${bytes} bytes instead of the answer`)
  }
}

function round(setup: Setup): void {
  const start = performance.now()
  for (let i = 0; i < BATCH; i++) setup.run()
  setup.best = Math.min(setup.best, ((performance.now() - start) * 1000) / BATCH)
}

const metrics = new Metrics({ version: '0.0.0' })
metrics.start()
for (const workload of workloads) {
  const setups: Setup[] = []
  for (const uses of CHAINS) setups.push(await setupOf(uses, workload))
  for (const setup of setups) await warmUp(setup)
  for (let i = 0; i < ROUNDS; i++) {
    for (const setup of i % 2 === 0 ? setups : setups.toReversed()) round(setup)
    await pause()
  }
  const base = setups[0]?.best ?? Number.NaN
  console.log(
    `answers of ${workload.name}: ns an exchange, what that is more than without interceptors, bytes allocated`,
  )
  for (const setup of setups) {
    const { name, best } = setup
    const figures = [best * 1000, (best - base) * 1000, allocatedBy(() => setup.run())]
    console.log(`  ${name.padEnd(24)}${figures.map(figure => figure.toFixed(0).padStart(10)).join('')}`)
    await pause()
  }
  for (const setup of setups) await setup.close()
}
metrics.stop()
rmSync(folder, { recursive: true })
