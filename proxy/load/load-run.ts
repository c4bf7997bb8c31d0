import { availableParallelism } from 'node:os'
import { closeSessions, detectEra, openSessions } from './handshake.ts'
import { IdleStreams } from './idle-streams.ts'
import { Lane, type LaneOwner } from './lane.ts'
import { Latencies } from './latencies.ts'
import type { LoadCall } from './load-call.ts'
import type { LoadResult } from './load-result.ts'
import { Mix, Pace } from './pace.ts'
import { RequestMaker } from './request-maker.ts'
import { type Scenario, stepName } from './scenario.ts'
import { type Ending, type Second, Tally } from './tally.ts'

/** In an open loop: requests that are due and have no connection. More are counted as `not sent`. */
export const MAX_BACKLOG = 100_000
const CHECK_TIMEOUTS_MS = 100

export interface LoadOptions {
  readonly url: URL
  readonly scenario: Scenario
  /** Ends the run early; what was counted by then is the result. */
  readonly signal: AbortSignal
  /** Hears each second of the counted part. */
  onSecond?(second: Second, tally: Tally): void
}

/**
 * Puts a server under load as a scenario says, and counts.
 * @throws HandshakeError when the server does not answer as an MCP server does
 */
export async function runLoad(options: LoadOptions): Promise<LoadResult> {
  const { url, scenario } = options
  const era = scenario.era === 'auto' ? await detectEra(url, scenario.headers) : scenario.era
  const maker = new RequestMaker(era, scenario.headers)
  const sessions = era === 'legacy' ? await openSessions(url, maker, scenario.sessions) : ['']
  const streams = new IdleStreams()
  try {
    await streams.start(url, maker, sessions, scenario.idle_streams)
    const run = new LoadRun(options, maker, sessions, streams)
    return await run.result()
  } finally {
    await streams.close()
    await closeSessions(url, maker, sessions)
  }
}

/** The last part of the wait for a request that is due, which is spent looking at the clock. */
const SPIN_MS = 1.5
/** With a single core, that would take it from the server. */
const SPINS = availableParallelism() > 1

class LoadRun implements LaneOwner {
  readonly #options: LoadOptions
  readonly #era: 'modern' | 'legacy'
  readonly #sessions: number
  readonly #streams: IdleStreams
  readonly #lanes: readonly Lane[]
  readonly #idle: Lane[]
  readonly #mix: Mix
  readonly #tally: Tally
  readonly #late = new Latencies()
  readonly #finished = Promise.withResolvers<void>()
  /** Due times of requests that wait for a connection. */
  readonly #backlog: number[] = []
  readonly #timers = new Set<NodeJS.Timeout>()
  readonly #countFrom: number
  readonly #until: number
  #pace: Pace | null = null
  #sent = 0
  #running = 0
  #stopped = false

  constructor(options: LoadOptions, maker: RequestMaker, sessions: readonly string[], streams: IdleStreams) {
    const { scenario, url } = options
    this.#options = options
    this.#era = maker.era
    this.#sessions = sessions.length
    this.#streams = streams
    const plans = sessions.map(session => scenario.mix.map((step, index) => maker.step(step, index, session)))
    this.#lanes = Array.from(
      { length: scenario.connections },
      (_, index) => new Lane(url, plans[index % plans.length] ?? [], this),
    )
    this.#idle = [...this.#lanes].reverse()
    this.#mix = new Mix(scenario.mix.map(step => step.weight))
    this.#tally = new Tally(scenario.mix.map(stepName))
    this.#countFrom = performance.now() + scenario.warm_up
    this.#until = this.#countFrom + scenario.duration
  }

  async result(): Promise<LoadResult> {
    const { scenario, signal } = this.#options
    const startedAt = new Date(Date.now() + scenario.warm_up).toISOString()
    let cpu = process.cpuUsage()
    const counting = setTimeout(() => {
      cpu = process.cpuUsage()
      this.#everySecond()
    }, scenario.warm_up)
    const expiring = setInterval(() => this.#expire(), CHECK_TIMEOUTS_MS)
    const ending = setTimeout(() => this.#stop(), this.#until - performance.now())
    const onAbort = (): void => this.#stop()
    signal.addEventListener('abort', onAbort, { once: true })
    this.#start()
    if (signal.aborted) this.#stop()
    await this.#finished.promise
    const seconds = Math.max(0.001, (Math.min(performance.now(), this.#until) - this.#countFrom) / 1000)
    const used = process.cpuUsage(cpu)
    signal.removeEventListener('abort', onAbort)
    for (const timer of [counting, expiring, ending, ...this.#timers]) clearTimeout(timer)
    const streams = { asked: scenario.idle_streams, open: this.#streams.open, broken: this.#streams.broken }
    await Promise.all(this.#lanes.map(lane => lane.close()))
    return this.#describe(startedAt, seconds, (used.user + used.system) / 1e6 / seconds, streams)
  }

  ended(lane: Lane, call: LoadCall, ending: Ending): void {
    this.#running--
    if (call.dueAt >= this.#countFrom) this.#tally.add(ending)
    if (this.#stopped) {
      if (this.#running === 0) this.#finished.resolve()
      return
    }
    const waiting = this.#backlog.shift()
    if (waiting !== undefined) this.#send(lane, waiting)
    else if (this.#pace === null) this.#think(lane)
    else this.#idle.push(lane)
  }

  #start(): void {
    const { rate, arrivals } = this.#options.scenario
    if (rate === null) {
      for (const lane of this.#idle.splice(0)) this.#think(lane)
      return
    }
    this.#pace = new Pace(rate, arrivals, performance.now())
    this.#sendDue(this.#pace)
  }

  /** Closed loop: the user of a connection pauses, then asks for the next thing. */
  #think(lane: Lane): void {
    const step = this.#mix.next()
    const pauseMs = this.#options.scenario.mix[step]?.think_time ?? 0
    if (pauseMs === 0) {
      this.#send(lane, performance.now(), step)
      return
    }
    const timer = setTimeout(() => {
      this.#timers.delete(timer)
      if (!this.#stopped) this.#send(lane, performance.now(), step)
    }, pauseMs)
    this.#timers.add(timer)
  }

  /** Open loop: sends what is due, whatever became of what was sent before. */
  #sendDue(pace: Pace): void {
    if (this.#stopped) return
    const now = performance.now()
    while (pace.next <= now && !this.#stopped) this.#sendOrWait(pace.take(), now)
    if (this.#stopped) return
    const waitMs = pace.next - performance.now()
    // Timers know milliseconds and are late by up to one, which would be most of what a fast server is measured to take.
    if (waitMs < SPIN_MS && SPINS) {
      setImmediate(() => this.#sendDue(pace))
      return
    }
    const timer = setTimeout(
      () => {
        this.#timers.delete(timer)
        this.#sendDue(pace)
      },
      Math.max(0, Math.floor(waitMs - (SPINS ? SPIN_MS : 0))),
    )
    this.#timers.add(timer)
  }

  #sendOrWait(dueAt: number, now: number): void {
    if (dueAt >= this.#countFrom) this.#late.record(now - dueAt)
    const lane = this.#idle.pop()
    if (lane !== undefined) this.#send(lane, dueAt)
    else if (this.#backlog.length < MAX_BACKLOG) this.#backlog.push(dueAt)
    else this.#tally.fail('not sent: too many wait')
  }

  #send(lane: Lane, dueAt: number, step: number = this.#mix.next()): void {
    if (this.#sent >= this.#options.scenario.max_requests) {
      this.#stop()
      return
    }
    this.#running++
    lane.send(step, ++this.#sent, dueAt)
  }

  #expire(): void {
    const now = performance.now()
    for (const lane of this.#lanes) lane.expire(now, this.#options.scenario.timeout)
  }

  #everySecond(): void {
    const timer = setInterval(() => {
      if (this.#stopped) return
      const second = this.#tally.tick()
      this.#options.onSecond?.(second, this.#tally)
    }, 1000)
    this.#timers.add(timer)
  }

  /** Sends nothing more; what is under way may end, within its time limit. */
  #stop(): void {
    if (this.#stopped) return
    this.#stopped = true
    for (const dueAt of this.#backlog.splice(0))
      if (dueAt >= this.#countFrom) this.#tally.fail('not sent: no connection was free')
    if (this.#running === 0) this.#finished.resolve()
  }

  #describe(startedAt: string, seconds: number, cpuShare: number, streams: LoadResult['idle_streams']): LoadResult {
    const { scenario, url } = this.#options
    const tally = this.#tally
    return {
      version: 1,
      name: scenario.name,
      target: url.origin + url.pathname,
      era: this.#era,
      loop: scenario.rate === null ? 'closed' : 'open',
      started_at: startedAt,
      seconds,
      connections: scenario.connections,
      sessions: this.#era === 'legacy' ? this.#sessions : 0,
      rate: scenario.rate,
      requests: tally.requests,
      requests_per_second: tally.requests / seconds,
      failed: tally.failed,
      errors: Object.fromEntries(tally.errors),
      bytes_sent: tally.bytesSent,
      bytes_received: tally.bytesReceived,
      events: tally.events,
      latency_ms: tally.latency.summary(),
      latency_curve: tally.latency.curve(),
      first_byte_ms: tally.firstByte.summary(),
      steps: tally.steps(),
      timeline: tally.timeline,
      idle_streams: streams,
      generator: { cpu_share: cpuShare, late_ms: this.#late.summary() },
      histogram: tally.latency.encoded(),
    }
  }
}
