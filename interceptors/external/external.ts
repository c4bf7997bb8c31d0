import { defineInterceptor, type Environment, type Exchange, type Hooks, type Message, type Verdict } from '#api'
import { readAnswer } from './answer.ts'
import { applyToRequest, applyToResponse } from './apply.ts'
import type { Bounds, Caller } from './caller.ts'
import { commandOf } from './command.ts'
import { HttpCaller } from './http.ts'
import { LinePool } from './line-pool.ts'
import { OneShot } from './one-shot.ts'
import { type Options, options, type Target, targetsOf } from './options.ts'
import { payloadOf } from './payload.ts'

/** The hook's own limit: beyond what `timeout` of the options may be, so that it is that one which counts. */
const HOOK_TIMEOUT_MS = 300_000

/** Asks a script, a service or a container about messages: it lets them go on, rewrites, answers or refuses them. */
export default defineInterceptor<Options>({
  name: 'external',
  summary: 'Lets a script, a service or a container look at messages, and rewrite, answer or refuse them.',
  options,
  looks: { request: { need: 'json', edits: true }, response: { need: 'json', edits: true } },
  onFailure: 'closed',
  timeoutMs: HOOK_TIMEOUT_MS,
  create(checked, environment) {
    const { before, after } = targetsOf(checked)
    const bounds = { timeoutMs: checked.timeout, maxOutputBytes: checked.max_output_bytes }
    const callers = new Callers(bounds, environment)
    const hooks: Hooks = {
      methods: { request: checked.methods, response: checked.methods },
      close: () => callers.close(),
    }
    if (before !== null) hooks.request = hookFor(before, callers.of(before), applyToRequest, environment)
    if (after !== null) hooks.response = hookFor(after, callers.of(after), applyToResponse, environment)
    return hooks
  },
})

function hookFor(target: Target, caller: Caller, apply: typeof applyToRequest, environment: Environment) {
  const { entry, rehearsal } = environment
  return async (message: Message, exchange: Exchange): Promise<Verdict | undefined> => {
    // A rehearsal has no effects outside.
    if (rehearsal !== null) {
      exchange.note('external', 'not asked')
      return undefined
    }
    // Docker's gateway shows results only.
    if (target.form === 'docker' && message.json()['error'] !== undefined) return undefined
    const given = await caller.call(payloadOf(message, exchange, target.form), exchange.signal)
    return apply(readAnswer(given, message.method, target.form === 'docker'), message, entry)
  }
}

/** The callers of an entry; `before` and `after` that say the same share one. */
class Callers {
  readonly #bounds: Omit<Bounds, 'queue'>
  readonly #environment: Environment
  readonly #made = new Map<string, Caller>()

  constructor(bounds: Omit<Bounds, 'queue'>, environment: Environment) {
    this.#bounds = bounds
    this.#environment = environment
  }

  of(target: Target): Caller {
    const key = JSON.stringify(target)
    const caller = this.#made.get(key) ?? this.#make(target)
    this.#made.set(key, caller)
    return caller
  }

  async close(): Promise<void> {
    await Promise.all([...this.#made.values()].map(caller => caller.close()))
  }

  #make(target: Target): Caller {
    const { logger } = this.#environment
    const bounds = { ...this.#bounds, queue: target.queue }
    if (target.http !== undefined) return new HttpCaller(target, bounds, this.#environment)
    const command = commandOf(target, this.#environment)
    if (target.one_shot) return new OneShot(command, bounds, target.processes, logger, target.log_stderr)
    const settings = { ...bounds, processes: target.processes, inFlight: target.in_flight }
    return new LinePool(command, settings, logger, target.log_stderr)
  }
}
