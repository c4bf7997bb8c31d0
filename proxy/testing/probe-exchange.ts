import {
  type Direction,
  type Hook,
  type Hooks,
  type JsonObject,
  type Kind,
  type Outcome,
  SluiceError,
  type Verdict,
  type VerdictRecord,
} from '../api/index.ts'
import type { LiveExchange } from '../chain/exchange.ts'
import { illegal, isLegal } from '../chain/guard.ts'
import { type Decision, PENDING, runPhase } from '../chain/run.ts'
import type { WireMessage } from '../message/message.ts'
import type { Phase, Step } from '../policy/plan.ts'
import type { FrozenClock } from './frozen-clock.ts'
import type { LogLine } from './probe-environment.ts'
import { type MessageInput, probeMessage } from './probe-message.ts'
import { outcomeOf } from './probe-outcome.ts'
import type { ProbeSteps } from './probe-steps.ts'

/** What became of one message. */
export interface Seen {
  /** Whether the hook ran. Not when there is none for this kind and direction, or the message was too large for it. */
  readonly ran: boolean
  /** What was decided; `undefined` = the message goes on. */
  readonly verdict: Verdict | undefined
  /** The message as it would leave now. */
  readonly message: { readonly json: JsonObject; readonly text: string }
  readonly edited: boolean
  /** All notes of the exchange so far. */
  readonly notes: Readonly<Record<string, string | number | boolean>>
  /** What the interceptor logged while it looked at this message. */
  readonly logs: readonly LogLine[]
}

/** What an exchange needs of its probe. */
export interface ProbeKit {
  readonly steps: ProbeSteps
  readonly clock: FrozenClock
  readonly logs: readonly LogLine[]
  /** What a failing hook means: `throw` = the test sees its error, `verdict` = what the proxy would do. */
  readonly failures: 'throw' | 'verdict'
}

/** One exchange, message by message: the same interceptor state, notes and signal throughout. */
export class ProbeExchange {
  readonly live: LiveExchange
  private readonly kit: ProbeKit
  private readonly first: MessageInput
  /** The client's request, once it was made; answers take their id, method and name from it. */
  private asked: WireMessage | null
  private readonly watch: Watch
  private ended: boolean

  constructor(kit: ProbeKit, live: LiveExchange, first: MessageInput) {
    this.kit = kit
    this.live = live
    this.first = first
    this.asked = null
    this.watch = { ran: false, error: undefined }
    this.ended = false
  }

  /** Runs the request hook: on the client's request, or on another one, such as the server's `sampling/createMessage`. */
  async request(message: MessageInput = this.first, direction: Direction = 'toServer'): Promise<Seen> {
    const wire = this.message(message, 'request', direction)
    if (message === this.first) this.asked = wire
    return this.run(wire)
  }

  /** Runs the response hook on an answer, as `{ result: … }` or `{ error: … }`; its id is the request's. */
  async response(message: MessageInput, direction: Direction = 'toClient'): Promise<Seen> {
    this.asked ??= this.message(this.first, 'request', 'toServer')
    return this.run(this.message(message, 'response', direction))
  }

  /** Runs the notification hook. Within an exchange most of them come from the server, such as progress. */
  async notification(message: MessageInput, direction: Direction = 'toClient'): Promise<Seen> {
    return this.run(this.message(message, 'notification', direction))
  }

  /**
   * Ends the exchange: aborts its signal and runs the `end` hook, once.
   * @param outcome what differs from an outcome made of what happened here
   */
  end(outcome: Partial<Outcome> = {}): Outcome {
    if (this.ended) throw new Error('end() was called before: an exchange ends exactly once')
    this.ended = true
    const full = { ...outcomeOf(this.live, this.kit.clock), ...outcome }
    this.live.markEnded()
    const { hooks } = this.kit.steps.whole
    hooks.end?.(this.live, full, this.live.stateAtEnd(this.kit.steps.whole))
    return full
  }

  private message(input: MessageInput, kind: Kind, direction: Direction): WireMessage {
    return probeMessage(input, kind, direction, this.asked, this.kit.steps.looks[kind])
  }

  private async run(message: WireMessage): Promise<Seen> {
    if (this.ended) throw new Error('the exchange has ended: no message belongs to it any more')
    const logged = this.kit.logs.length
    const recorded = this.live.verdicts?.length ?? 0
    this.watch.ran = false
    this.watch.error = undefined
    const decision = await this.decide(message)
    if (this.kit.failures === 'throw') this.throwFailure(message, this.live.verdicts?.slice(recorded) ?? [])
    if (message === this.asked) {
      this.live.method = message.method
      this.live.name = message.name
    }
    return this.seen(message, decision, logged)
  }

  private seen(message: WireMessage, decision: Decision | null, logged: number): Seen {
    const text = message.body.toString()
    return {
      ran: this.watch.ran,
      verdict: decision?.verdict,
      message: { json: JSON.parse(text) as JsonObject, text },
      edited: message.edited,
      notes: { ...this.live.notes },
      logs: this.kit.logs.slice(logged),
    }
  }

  private decide(message: WireMessage): Promise<Decision | null> {
    const step = this.kit.steps.find(message.kind, message.direction, message.method)
    if (step === null) return Promise.resolve(null)
    const watched: Step = { ...step, hooks: watchHooks(step, this.watch) }
    const { need, edits, maxBytes } = step
    const phase: Phase = { steps: [watched], need, edits, maxBytes, again: 0 }
    return new Promise((resolve, reject) => {
      const phaseDone = (_: WireMessage, __: Phase, decision: Decision | null): void => resolve(decision)
      const owner = { phaseDone, fault: reject }
      const decision = runPhase(owner, this.live, phase, message, 0)
      if (decision !== PENDING) resolve(decision)
    })
  }

  /** A test must not pass because its interceptor broke and failed open. */
  private throwFailure(message: WireMessage, records: readonly VerdictRecord[]): void {
    const failed = records.find(record => record.action === 'fail' && record.code !== 'message_too_large')
    if (failed === undefined) return
    if (failed.code !== 'interceptor_timeout' && this.watch.error !== undefined) throw this.watch.error
    const { timeoutMs } = this.kit.steps.whole
    const limit = `the ${message.kind} hook of ${failed.entry} gave no answer within ${timeoutMs} ms`
    throw new SluiceError(
      failed.code ?? 'interceptor_failed',
      failed.code === 'interceptor_timeout' ? limit : failed.reason,
    )
  }
}

/** What the runner does not tell: whether a hook ran, and the error itself. */
interface Watch {
  ran: boolean
  error: unknown
}

function watchHooks(step: Step, watch: Watch): Hooks<unknown> {
  const watched = (hook: Hook<unknown> | undefined): Hook<unknown> | undefined =>
    hook === undefined
      ? undefined
      : (message, exchange, state) => watchHook(hook, step, watch, message, exchange, state)
  const { state, request, response, notification } = step.hooks
  return {
    ...(state && { state }),
    ...{ request: watched(request), response: watched(response), notification: watched(notification) },
  } as Hooks<unknown>
}

function watchHook(hook: Hook<unknown>, step: Step, watch: Watch, ...args: Parameters<Hook<unknown>>) {
  watch.ran = true
  const check = <T>(answer: T): T => {
    if (!isLegal(answer, args[0] as WireMessage)) watch.error = illegal(step, answer, args[0] as WireMessage)
    return answer
  }
  const fail = (error: unknown): never => {
    watch.error = error
    throw error
  }
  try {
    const answer = hook(...args)
    return answer instanceof Promise ? answer.then(check, fail) : check(answer)
  } catch (error) {
    return fail(error)
  }
}
