import type { Clock, Quota } from '../../api/index.ts'
import type { LimitBackend } from '../../store/backend.ts'
import type { Ask, Taken } from '../../store/counter.ts'
import { MemoryLimits } from '../../store/memory-limits.ts'

/** What a worker asks the one who counts for all of them. */
export type LimitQuestion =
  | { readonly what: 'take'; readonly key: string; readonly ask: Ask; readonly quota: Quota }
  | { readonly what: 'spend'; readonly key: string; readonly amount: number; readonly quota: Quota }
  /** @see LimitBackend.hold; `limit` -1 = none: JSON knows no Infinity */
  | { readonly what: 'hold'; readonly key: string; readonly count: number; readonly limit: number }

export type LimitAnswer = Taken | boolean

/** The supervisor's side: counts for all workers. */
export class LimitDesk {
  readonly #limits: MemoryLimits

  constructor(clock: Clock) {
    this.#limits = new MemoryLimits(clock)
  }

  /** @param holder the worker's process: its places are its own */
  answer(holder: string, question: LimitQuestion): LimitAnswer {
    const { key } = question
    if (question.what === 'take') return finite(this.#limits.take(key, question.ask, question.quota))
    if (question.what === 'spend') return finite(this.#limits.spend(key, question.amount, question.quota))
    const { count, limit } = question
    return this.#limits.hold(key, holder, count, limit < 0 ? Number.POSITIVE_INFINITY : limit)
  }

  /** Frees the places of a worker that is gone. */
  gone(holder: string): void {
    this.#limits.drop(holder)
  }
}

/** The worker's side: asks over the channel to the supervisor. */
export class LimitLink implements LimitBackend {
  readonly #send: (id: number, question: LimitQuestion) => void
  readonly #waiting = new Map<number, (answer: LimitAnswer) => void>()
  #lastId = 0

  constructor(send: (id: number, question: LimitQuestion) => void) {
    this.#send = send
  }

  async take(key: string, ask: Ask, quota: Quota): Promise<Taken> {
    return taken(await this.#ask({ what: 'take', key, ask, quota }))
  }

  async spend(key: string, amount: number, quota: Quota): Promise<Taken> {
    return taken(await this.#ask({ what: 'spend', key, amount, quota }))
  }

  async hold(key: string, count: number, limit: number): Promise<boolean> {
    const most = Number.isFinite(limit) ? limit : -1
    return (await this.#ask({ what: 'hold', key, count, limit: most })) === true
  }

  /** What the supervisor said. */
  heard(id: number, answer: LimitAnswer): void {
    this.#waiting.get(id)?.(answer)
    this.#waiting.delete(id)
  }

  /** A supervisor that is gone takes its workers with it: nobody is left waiting. */
  #ask(question: LimitQuestion): Promise<LimitAnswer> {
    const id = ++this.#lastId
    return new Promise(resolve => {
      this.#waiting.set(id, resolve)
      this.#send(id, question)
    })
  }
}

/** IPC is JSON, which knows no Infinity. */
function finite(answer: Taken): Taken {
  return { ...answer, validMs: Math.min(answer.validMs, Number.MAX_SAFE_INTEGER) }
}

function taken(answer: LimitAnswer): Taken {
  if (typeof answer === 'object') return answer
  throw new TypeError('the supervisor answered something else')
}
