import type { Clock } from '../api/index.ts'
import type { RelayServices } from '../chain/ports.ts'
import type { ToolTable } from '../chain/tool-table.ts'
import { ControlError, type ControlRequest, type ControlRoute } from '../observe/control-routes.ts'
import type { PolicyInput } from '../policy/compile.ts'
import { EntryStore } from '../policy/environment.ts'
import { PolicyReloader } from '../policy/reload.ts'
import { Capture } from './capture.ts'
import { Shadow, type ShadowSettings } from './shadow.ts'
import { DEFAULT_MAX_BYTES, Witnesses } from './witnesses.ts'

export interface OnlookerOptions {
  /** `null` = no shadow policy. */
  readonly settings: ShadowSettings | null
  /** What the shadow policy is compiled from, afresh each time. */
  readonly input: () => Promise<Omit<PolicyInput, 'generation'>>
  /** Files to watch besides the policy. */
  readonly watch: readonly string[]
  readonly clock: Clock
  readonly tools: ToolTable
  readonly maxDepth: number
  readonly maxEventBytes: number
}

/** Captures at a time. */
const MAX_CAPTURES = 4

/** Whoever looks on at exchanges without taking part in them: the shadow policy, and captures. */
export class Onlookers {
  readonly shadow: Shadow | null
  readonly #witnesses: Witnesses
  readonly #reloader: PolicyReloader | null
  readonly #options: OnlookerOptions
  readonly #captures = new Set<Capture>()
  #relay: RelayServices | null = null
  #watched = false

  private constructor(options: OnlookerOptions, reloader: PolicyReloader | null) {
    const { settings } = options
    this.#options = options
    this.#reloader = reloader
    this.#witnesses = new Witnesses(settings?.maxBytes ?? DEFAULT_MAX_BYTES, watched => this.#changed(watched))
    this.shadow = null
    if (settings !== null && reloader !== null) {
      this.shadow = new Shadow({ ...options, settings, plans: reloader.source })
      this.#witnesses.add(this.shadow)
    }
  }

  /** Rejects with a LoadError when the shadow policy does not compile. */
  static async open(options: OnlookerOptions): Promise<Onlookers> {
    if (options.settings === null) return new Onlookers(options, null)
    const input = async (): Promise<Omit<PolicyInput, 'generation'>> => isolated(await options.input())
    const reloader = await PolicyReloader.open({ input, watch: options.watch, what: 'shadow policy' })
    return new Onlookers(options, reloader)
  }

  /** From now on these exchanges are looked at, while anybody wants to. */
  attach(relay: RelayServices): void {
    this.#relay = relay
    this.#changed(this.#watched)
  }

  /** For the control socket. */
  get routes(): ControlRoute[] {
    return [
      { method: 'GET', path: '/shadow', handler: () => this.#known().about() },
      { method: 'POST', path: '/capture', handler: request => this.#capture(request) },
    ]
  }

  watch(): void {
    this.#reloader?.watch()
  }

  async reload(): Promise<void> {
    await this.#reloader?.reload()
  }

  async close(): Promise<void> {
    for (const capture of this.#captures) capture.stop('the proxy stops')
    this.shadow?.close()
    await this.#reloader?.close()
  }

  #capture({ body, signal }: ControlRequest): AsyncIterable<string> {
    const spec = Capture.parse(body)
    if (this.#captures.size >= MAX_CAPTURES) {
      throw new ControlError(409, `${MAX_CAPTURES} captures are running already: stop one of them`)
    }
    return this.#lines(new Capture(spec, this.#options.tools), signal)
  }

  async *#lines(capture: Capture, signal: AbortSignal): AsyncGenerator<string> {
    this.#captures.add(capture)
    this.#witnesses.add(capture)
    try {
      yield* capture.lines(signal)
    } finally {
      this.#captures.delete(capture)
      this.#witnesses.remove(capture)
    }
  }

  #known(): Shadow {
    if (this.shadow !== null) return this.shadow
    throw new ControlError(404, 'there is no shadow policy: name one by "shadow" in the configuration')
  }

  #changed(watched: boolean): void {
    this.#watched = watched
    if (this.#relay !== null) this.#relay.witness = watched ? this.#witnesses : null
  }
}

/** What a shadow policy keeps, counts and writes must not be taken for what happened. */
function isolated(input: Omit<PolicyInput, 'generation'>): Omit<PolicyInput, 'generation'> {
  const { services } = input
  const store = new EntryStore(services.store, 'shadow/')
  return { ...input, services: { ...services, store, rehearsal: () => ({ record() {} }) } }
}
