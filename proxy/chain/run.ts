import { SluiceError, type Verdict } from '../api/index.ts'
import type { WireMessage } from '../message/message.ts'
import type { Phase, Step } from '../policy/plan.ts'
import type { LiveExchange } from './exchange.ts'
import { failure, illegal, invoke, isLegal } from './guard.ts'
import { recheckPhase } from './recheck.ts'

/** A step's refusal, reply or drop. */
export interface Decision {
  readonly verdict: Verdict
  readonly step: Step
  /** Position of `step` in its phase. */
  readonly index: number
}

/** Told when a phase that had to wait has run to its end. */
export interface PhaseOwner {
  /** @param decision `null` = every step let the message go on */
  phaseDone(message: WireMessage, phase: Phase, decision: Decision | null): void
  /** The proxy itself failed while it went on: end the exchange, not the process. */
  fault(error: unknown): void
}

/** What `runPhase` gives when a hook returned a promise: the owner is called later. */
export const PENDING = Symbol('pending')

/**
 * Runs the steps of a phase from `index` on. Synchronous until a hook returns a promise: a chain of synchronous hooks
 * makes no promise at all.
 * @returns `null` when all let the message go on, the first decision, or `PENDING`
 */
export function runPhase(
  owner: PhaseOwner,
  exchange: LiveExchange,
  phase: Phase,
  message: WireMessage,
  index: number,
): Decision | null | typeof PENDING {
  const steps = phase.steps
  exchange.clockMs = performance.now()
  for (let i = index; i < steps.length; i++) {
    const step = steps[i] as Step
    if (step.mode === 'shadow') {
      runShadow(step, message, exchange)
      continue
    }
    const { body, envelope, edits } = message
    const answer = runStep(step, message, exchange)
    if (answer === undefined) {
      const changed = message.body === body ? null : recheckPhase(exchange, phase, message, i)
      if (changed !== null) return runPhase(owner, exchange, changed, message, 0)
      continue
    }
    if (isPromise(answer)) {
      new Waiting(owner, exchange, phase, message, i, step, body, envelope, edits).wait(answer)
      return PENDING
    }
    return { verdict: answer, step, index: i }
  }
  return null
}

type Settled = Verdict | undefined | PromiseLike<unknown>

/** One hook, timed, with its failures turned into verdicts and its edit undone where it failed. */
function runStep(step: Step, message: WireMessage, exchange: LiveExchange): Settled {
  const before = message.body
  const envelope = message.envelope
  const edits = message.edits
  let answer: Settled
  try {
    const given = invoke(step, message, exchange)
    answer = isPromise(given) ? given : settled(step, message, exchange, given)
  } catch (error) {
    message.restore(before, envelope, edits)
    answer = failure(step, message, exchange, error)
  }
  exchange.lap(step.slot)
  if (!isPromise(answer)) recordStep(step, message, exchange, answer, before)
  return answer
}

/** Checks a verdict; one that makes no sense counts as a failure. */
function settled(step: Step, message: WireMessage, exchange: LiveExchange, answer: unknown): Verdict | undefined {
  if (isLegal(answer, message)) return answer
  return failure(step, message, exchange, illegal(step, answer, message))
}

function recordStep(
  step: Step,
  message: WireMessage,
  exchange: LiveExchange,
  verdict: Verdict | undefined,
  before: Buffer,
): void {
  if (verdict === undefined ? message.body === before : isTold(step, exchange, verdict)) return
  exchange.record({
    entry: step.entry,
    mode: step.mode,
    kind: message.kind,
    direction: message.direction,
    action: verdict === undefined ? 'edit' : verdict.action,
    code: verdict === undefined ? null : verdict.code,
    reason: verdict === undefined ? editText(message, exchange, before) : verdict.reason,
  })
}

/** What became of a message, for the record: of a request that was sent under another name, that name too. */
function editText(message: WireMessage, exchange: LiveExchange, before: Buffer): string {
  const sizes = `${before.length} -> ${message.byteLength} bytes`
  if (message !== exchange.request) return sizes
  if (message.method === exchange.method && message.name === exchange.name) return sizes
  return `${sizes}, now ${message.method} ${message.name}`.slice(0, MAX_EDIT_TEXT)
}

/** Longest text about an edit: names are a peer's to choose. */
const MAX_EDIT_TEXT = 300

/** Whether a refusal is what became of a failure, which has its own record. */
function isTold(step: Step, exchange: LiveExchange, verdict: Verdict): boolean {
  const last = exchange.verdicts?.at(-1)
  return last?.action === 'fail' && last.entry === step.entry && last.code === verdict.code
}

function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && typeof (value as { then?: unknown }).then === 'function'
}

/** A hook's promise, its time limit, where to go on afterwards, and the message as it was before the hook. */
class Waiting {
  private readonly owner: PhaseOwner
  private readonly exchange: LiveExchange
  private readonly phase: Phase
  private readonly message: WireMessage
  private readonly index: number
  private readonly step: Step
  private readonly before: Buffer
  private readonly envelope: WireMessage['envelope']
  private readonly edits: number
  private readonly began: number
  private timer: NodeJS.Timeout | null
  private over: boolean

  constructor(
    owner: PhaseOwner,
    exchange: LiveExchange,
    phase: Phase,
    message: WireMessage,
    index: number,
    step: Step,
    before: Buffer,
    envelope: WireMessage['envelope'],
    edits: number,
  ) {
    this.owner = owner
    this.exchange = exchange
    this.phase = phase
    this.message = message
    this.index = index
    this.step = step
    this.before = before
    this.envelope = envelope
    this.edits = edits
    this.began = performance.now()
    this.timer = null
    this.over = false
  }

  wait(promise: PromiseLike<unknown>): void {
    this.timer = setTimeout(onTimeout, this.step.timeoutMs, this)
    // A promise of somebody else's making may throw where one should not.
    Promise.resolve(promise).then(
      answer => this.finish(() => settled(this.step, this.message, this.exchange, answer)),
      error => this.finish(() => this.failed(error)),
    )
  }

  timedOut(): void {
    this.finish(() => this.failed(new SluiceError('interceptor_timeout', `no answer within ${this.step.timeoutMs} ms`)))
  }

  private failed(cause: unknown): Verdict | undefined {
    this.message.restore(this.before, this.envelope, this.edits)
    return failure(this.step, this.message, this.exchange, cause)
  }

  private finish(outcome: () => Verdict | undefined): void {
    if (this.over) return
    this.over = true
    if (this.timer !== null) clearTimeout(this.timer)
    const verdict = outcome()
    // A hook that goes on after its time-out holds the message still: it may not change it any more.
    this.message.editable = false
    this.exchange.spend(this.step.slot, performance.now() - this.began)
    recordStep(this.step, this.message, this.exchange, verdict, this.before)
    try {
      // The client may have left, or the server failed, while the hook was waited for.
      if (!this.exchange.isEnded) this.resume(verdict)
    } catch (error) {
      this.owner.fault(error)
    }
  }

  private resume(verdict: Verdict | undefined): void {
    if (verdict !== undefined) {
      this.owner.phaseDone(this.message, this.phase, { verdict, step: this.step, index: this.index })
      return
    }
    const { owner, exchange, phase, message, index } = this
    const changed = message.body === this.before ? null : recheckPhase(exchange, phase, message, index)
    const decision =
      changed === null
        ? runPhase(owner, exchange, phase, message, index + 1)
        : runPhase(owner, exchange, changed, message, 0)
    if (decision !== PENDING) owner.phaseDone(message, phase, decision)
  }
}

function onTimeout(waiting: Waiting): void {
  waiting.timedOut()
}

/** Runs a step on a copy: what it would have done is recorded, nothing is changed and nobody waits. */
function runShadow(step: Step, message: WireMessage, exchange: LiveExchange): void {
  const copy = message.shadowCopy()
  const before = copy.body
  try {
    const answer = invoke(step, copy, exchange)
    if (isPromise(answer)) {
      Promise.resolve(answer).then(
        late => recordStep(step, copy, exchange, settled(step, copy, exchange, late), before),
        error => void failure(step, copy, exchange, error),
      )
    } else {
      recordStep(step, copy, exchange, settled(step, copy, exchange, answer), before)
    }
  } catch (error) {
    failure(step, copy, exchange, error)
  }
  exchange.lap(step.slot)
}
