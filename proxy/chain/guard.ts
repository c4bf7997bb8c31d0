import { type ErrorCode, type Hook, SluiceError, Verdict } from '../api/index.ts'
import type { WireMessage } from '../message/message.ts'
import { channels } from '../observe/channels.ts'
import type { Condition, Step } from '../policy/plan.ts'
import type { LiveExchange } from './exchange.ts'

/** What a hook gives back: nothing, a verdict, or a promise of either. */
export type Answer = ReturnType<Hook<unknown>>

/**
 * The one place that knows what a failing interceptor means: a throw, a time-out, an over-size message and a verdict
 * that makes no sense all become a verdict here, by the entry's `on_failure`.
 */
export function invoke(step: Step, message: WireMessage, exchange: LiveExchange): Answer {
  const { condition } = step
  if (condition !== null && !condition.readsJson && !isMet(step, condition, message, exchange)) return undefined
  if (message.byteLength > step.maxBytes) return overSize(step, message, exchange)
  if (condition?.readsJson === true && !isMet(step, condition, message, exchange)) return undefined
  const hook = step.hooks[message.kind]
  if (hook === undefined) return undefined
  message.editable = step.edits
  return hook(message, exchange, exchange.stateOf(step))
}

/** Asks the entry's `when`, and keeps the answer for its end. @throws what the condition throws */
function isMet(step: Step, condition: Condition, message: WireMessage, exchange: LiveExchange): boolean {
  const met = condition.holds(message, exchange)
  exchange.held ??= new Array(exchange.table.slots).fill(undefined)
  exchange.held[step.slot] = met || exchange.held[step.slot] === true
  return met
}

/**
 * Whether a step would look at a message that cannot be read. Where its `when` cannot be asked without reading, or fails,
 * it would: nothing passes unseen because of that.
 */
export function wouldLook(step: Step, message: WireMessage, exchange: LiveExchange): boolean {
  const { condition } = step
  if (condition === null || condition.readsJson) return true
  try {
    return condition.holds(message, exchange)
  } catch {
    return true
  }
}

/**
 * Whether an entry's `end` hook runs: where its `when` held for a message it looked at, or, when it looked at none, for the
 * client's own message. One that fails runs: an end only tells.
 */
export function endsHere(step: Step, exchange: LiveExchange): boolean {
  const { condition } = step
  if (condition === null) return true
  const held = exchange.held?.[step.slot]
  if (held !== undefined) return held
  try {
    return condition.holds(exchange.request, exchange)
  } catch {
    return true
  }
}

/** Whether a hook's answer is one that this kind of message can have. */
export function isLegal(answer: unknown, message: WireMessage): answer is Verdict | undefined {
  if (answer === undefined) return true
  if (!(answer instanceof Verdict)) return false
  if (answer.action === 'deny') return true
  return (answer.action === 'drop') === (message.kind === 'notification')
}

/** What a verdict that makes no sense is reported as. */
export function illegal(step: Step, answer: unknown, message: WireMessage): SluiceError {
  const what = answer instanceof Verdict ? `Verdict.${answer.action}` : typeof answer
  return new SluiceError('interceptor_failed', `${step.entry} answered a ${message.kind} with ${what}`)
}

/** Turns a failure into a verdict: a refusal where the entry fails closed, `undefined` where it fails open. */
export function failure(step: Step, message: WireMessage, exchange: LiveExchange, cause: unknown): Verdict | undefined {
  const code: ErrorCode = cause instanceof SluiceError ? cause.code : 'interceptor_failed'
  const reason =
    code === 'interceptor_timeout' ? `Interceptor timed out: ${step.entry}` : `Interceptor failed: ${step.entry}`
  exchange.record({
    entry: step.entry,
    mode: step.mode,
    kind: message.kind,
    direction: message.direction,
    action: 'fail',
    code,
    reason,
  })
  report(step, exchange, cause)
  return step.onFailure === 'open' ? undefined : Verdict.deny(code, reason)
}

function overSize(step: Step, message: WireMessage, exchange: LiveExchange): Verdict | undefined {
  if (step.tooBig === 'skip') {
    exchange.record({
      entry: step.entry,
      mode: step.mode,
      kind: message.kind,
      direction: message.direction,
      action: 'fail',
      code: 'message_too_large',
      reason: `not looked at: ${message.byteLength} bytes are more than max_bytes ${step.maxBytes}`,
    })
    return undefined
  }
  return tooBig(step.entry, step.maxBytes)
}

/** The refusal of a message that is larger than an entry with `too_big: deny` looks at. */
export function tooBig(entry: string, maxBytes: number): Verdict {
  return Verdict.deny('message_too_large', `Message too large: ${entry} looks at no more than ${maxBytes} bytes`)
}

/** The cause goes to the log, never to the client. */
function report(step: Step, exchange: LiveExchange, cause: unknown): void {
  if (!channels.notice.hasSubscribers) return
  const error = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause)
  const fields = { entry: step.entry, exchange: exchange.id, server: exchange.server, method: exchange.method, error }
  channels.notice.publish({ level: 'error', text: 'interceptor failed', fields })
}
