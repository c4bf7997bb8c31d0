import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { ContainerInspectInfo, ContainerStats } from 'dockerode'
import { formatByteSize } from '../../api/units.ts'
import { channels } from '../../observe/channels.ts'
import type { Ended, Usage } from '../launcher.ts'
import { CALL_TIMEOUT_MS, type DockerEngine, unlessGone } from './engine.ts'
import { troubleOf } from './engine-error.ts'

const FIRST_RETRY_MS = 200
const MAX_RETRY_MS = 5_000
const STATS_TIMEOUT_MS = 5_000

/** How a container is followed. */
export interface RunningOptions {
  readonly id: string
  /** For the text about an end for lack of memory. */
  readonly memoryBytes: number
  /** What else goes when the container has gone. */
  readonly cleanUp: () => Promise<void>
  /** The engine was away and is back, and the container has lived through it. */
  readonly onBack?: () => void
}

/**
 * A container from its start to its end, which is when it stopped running and was removed. An engine that is away ends
 * nothing: containers may live on without it, so it is asked again until it answers.
 */
export class RunningContainer {
  readonly id: string
  readonly ended: Promise<Ended>
  readonly #engine: DockerEngine
  readonly #options: RunningOptions
  #isOver = false
  #wasStopped = false

  constructor(engine: DockerEngine, options: RunningOptions) {
    this.id = options.id
    this.#engine = engine
    this.#options = options
    this.ended = this.#follow()
  }

  /**
   * The stop signal of the image, after `graceMs` SIGKILL. Resolves when it is gone; with an engine that does not answer,
   * a while after that: then the next start reaps it.
   */
  async stop(graceMs: number): Promise<void> {
    if (this.#isOver) return
    this.expectEnd()
    const seconds = Math.ceil(graceMs / 1000)
    const limit = seconds * 1000 + CALL_TIMEOUT_MS
    const stop = this.#ask('stop', container => container.stop({ t: seconds }), limit)
    const failed = unlessGone(stop).then(
      () => null,
      error => error as Error,
    )
    const error = await Promise.race([failed, this.ended.then(() => null)])
    if (error === null) await Promise.race([this.ended, delay(CALL_TIMEOUT_MS, null, { ref: false })])
    if (this.#isOver) return
    notice('warn', `container ${this.id.slice(0, 12)} could not be stopped: the next start removes it`, { error })
  }

  /** From now on its end is what was wanted. */
  expectEnd(): void {
    this.#wasStopped = true
  }

  async usage(): Promise<Usage | null> {
    if (this.#isOver) return null
    const options = { stream: false, 'one-shot': true } as const
    try {
      return usageFrom(await this.#ask('stats', container => container.stats(options), STATS_TIMEOUT_MS))
    } catch {
      return null
    }
  }

  /** What the image's HEALTHCHECK says; `null` = nothing, or nothing yet. */
  async health(): Promise<boolean | null> {
    try {
      const status = (await this.inspect()).State.Health?.Status
      if (status === 'healthy') return true
      return status === 'unhealthy' ? false : null
    } catch {
      return null
    }
  }

  inspect(): Promise<ContainerInspectInfo> {
    return this.#ask('inspect', container => container.inspect())
  }

  #ask<T>(what: string, run: (container: Container) => Promise<T>, timeoutMs = CALL_TIMEOUT_MS): Promise<T> {
    const container = this.#engine.docker.getContainer(this.id)
    return this.#engine.call(`${what} container ${this.id.slice(0, 12)}`, () => run(container), { timeoutMs })
  }

  async #follow(): Promise<Ended> {
    for (let tries = 0; ; tries++) {
      try {
        await this.#engine.wait(this.id)
        return await this.#end(await this.inspect())
      } catch (error) {
        if (troubleOf(error) === 'missing') return this.#endOf(null)
        if (tries === 0) notice('warn', `container ${this.id.slice(0, 12)}: ${(error as Error).message}`, {})
      }
      if (await this.#isBack(tries)) {
        tries = -1
        this.#options.onBack?.()
      }
    }
  }

  /** Waits a little. Whether it runs. */
  async #isBack(tries: number): Promise<boolean> {
    await delay(Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(tries, 10)), null, { ref: false })
    try {
      return (await this.inspect()).State.Running
    } catch {
      return false
    }
  }

  async #end(info: ContainerInspectInfo): Promise<Ended> {
    try {
      await unlessGone(this.#ask('remove', container => container.remove({ force: true, v: true })))
    } catch (error) {
      if (troubleOf(error) !== 'conflict') notice('warn', `${(error as Error).message}: the next start removes it`, {})
    }
    return this.#endOf(info.State)
  }

  async #endOf(state: ContainerInspectInfo['State'] | null): Promise<Ended> {
    this.#isOver = true
    try {
      await this.#options.cleanUp()
    } catch (error) {
      notice('warn', `${(error as Error).message}: the next start removes it`, {})
    }
    if (state === null) return { code: null, signal: null, oomKilled: false, reason: 'its container was removed' }
    const { ExitCode: code, OOMKilled: oomKilled } = state
    return { code, signal: signalOf(code), oomKilled, reason: this.#reason(state) }
  }

  #reason({ ExitCode: code, OOMKilled: oomKilled, Error: error }: ContainerInspectInfo['State']): string {
    if (oomKilled) return `killed for lack of memory: it may use ${formatByteSize(this.#options.memoryBytes)}`
    const signal = signalOf(code)
    if (this.#wasStopped) return signal === 'SIGKILL' ? 'killed: it did not stop in time' : 'stopped'
    if (error !== '') return `ended with exit code ${code}: ${error}`
    return signal === null ? `ended with exit code ${code}` : `ended by ${signal}`
  }
}

type Container = ReturnType<DockerEngine['docker']['getContainer']>

const SIGNALS = new Map(Object.entries(constants.signals).map(([name, number]) => [number, name]))

/** Engines tell a signal as shells do: 128 and its number. */
function signalOf(code: number): string | null {
  return code > 128 ? (SIGNALS.get(code - 128) ?? null) : null
}

/** Memory without what is only cached, as `docker stats` counts it; both versions of control groups. */
export function usageFrom(stats: ContainerStats): Usage | null {
  const memory = stats.memory_stats as { usage?: number; stats?: Record<string, number> }
  if (memory.usage === undefined) return null
  const cached = memory.stats?.total_inactive_file ?? memory.stats?.inactive_file ?? 0
  return {
    memoryBytes: Math.max(0, memory.usage - cached),
    cpuSeconds: stats.cpu_stats.cpu_usage.total_usage / 1e9,
  }
}

function notice(level: 'warn', text: string, fields: Record<string, unknown>): void {
  if (channels.notice.hasSubscribers) channels.notice.publish({ level, text, fields })
}
