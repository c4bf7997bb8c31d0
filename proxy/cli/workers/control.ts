import type { Json } from '../../api/index.ts'
import type { ControlAsk } from '../../observe/control.ts'
import { type ControlAnswer, ControlError, isStream } from '../../observe/control-routes.ts'

/** What a worker is asked over IPC, in the name of somebody at the control socket. */
export type ControlOrder =
  | { readonly what: 'ask'; readonly ask: Omit<ControlAsk, 'signal'> }
  /** The last lines were taken: the next ones may come. */
  | { readonly what: 'more' }
  /** Whoever asked has gone. */
  | { readonly what: 'stop' }

/** What it says to that. A stream is `lines` any number of times, each after a `more`, then `end`. */
export type ControlReport =
  | { readonly what: 'answer'; readonly value: Json }
  | { readonly what: 'stream' }
  | { readonly what: 'lines'; readonly text: string }
  | { readonly what: 'end' }
  | { readonly what: 'error'; readonly status: number; readonly text: string }

const BROKEN: ControlReport = { what: 'error', status: 503, text: 'the worker ended' }

/** The supervisor's side: asks every worker and puts their answers together. */
export class ControlDesk {
  readonly #send: (worker: string, id: number, order: ControlOrder) => void
  readonly #talks = new Map<number, Talk>()
  #lastId = 0

  constructor(send: (worker: string, id: number, order: ControlOrder) => void) {
    this.#send = send
  }

  /**
   * Asks these workers. JSON answers become `{ workers: { NAME: answer } }`; streams become one.
   * Rejects with a ControlError when none can answer.
   */
  async ask(workers: readonly string[], { signal, ...ask }: ControlAsk): Promise<ControlAnswer> {
    if (workers.length === 0) throw new ControlError(503, 'no worker is serving now: try again')
    const talks = workers.map(worker => this.#begin(worker, ask, signal))
    const first = await Promise.all(talks.map(talk => talk.next()))
    const failed = first.filter(report => report.what === 'error')
    const [problem] = failed
    if (problem !== undefined && failed.length === first.length) throw new ControlError(problem.status, problem.text)
    if (first.some(report => report.what === 'stream')) {
      return merge(talks.filter((_, i) => first[i]?.what === 'stream'))
    }
    return { workers: Object.fromEntries(first.map((report, i) => [workers[i] as string, jsonOf(report)])) }
  }

  heard(id: number, report: ControlReport): void {
    const talk = this.#talks.get(id)
    talk?.hear(report)
    if (report.what !== 'stream' && report.what !== 'lines') this.#talks.delete(id)
  }

  /** A worker has died: nothing more comes from it. */
  gone(worker: string): void {
    for (const [id, talk] of this.#talks) if (talk.worker === worker) this.heard(id, BROKEN)
  }

  #begin(worker: string, ask: Omit<ControlAsk, 'signal'>, signal: AbortSignal): Talk {
    const id = ++this.#lastId
    const talk = new Talk(worker, order => this.#send(worker, id, order))
    this.#talks.set(id, talk)
    signal.addEventListener('abort', () => this.#stop(id), { once: true })
    this.#send(worker, id, { what: 'ask', ask })
    return talk
  }

  #stop(id: number): void {
    const talk = this.#talks.get(id)
    if (talk === undefined) return
    this.#talks.delete(id)
    talk.tell({ what: 'stop' })
    talk.hear({ what: 'end' })
  }
}

/** One question to one worker. At most one report waits to be taken: a worker sends the next lines when told to. */
class Talk {
  readonly worker: string
  readonly tell: (order: ControlOrder) => void
  readonly #heard: ControlReport[] = []
  #wake: (() => void) | null = null

  constructor(worker: string, tell: (order: ControlOrder) => void) {
    this.worker = worker
    this.tell = tell
  }

  hear(report: ControlReport): void {
    this.#heard.push(report)
    this.#wake?.()
  }

  async next(): Promise<ControlReport> {
    while (this.#heard.length === 0) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
    return this.#heard.shift() as ControlReport
  }
}

function jsonOf(report: ControlReport): Json {
  if (report.what === 'answer') return report.value
  return { error: report.what === 'error' ? report.text : 'no answer' }
}

/** Lines of several workers, as they come. One that breaks off ends its own part; the others go on. */
async function* merge(talks: readonly Talk[]): AsyncGenerator<string> {
  const waiting = new Map(talks.map(talk => [talk, listen(talk)]))
  while (waiting.size > 0) {
    const { talk, report } = await Promise.race(waiting.values())
    if (report.what === 'lines') {
      yield report.text
      waiting.set(talk, listen(talk))
    } else {
      waiting.delete(talk)
      if (report.what === 'error') yield `${JSON.stringify({ error: report.text, worker: talk.worker })}\n`
    }
  }
}

async function listen(talk: Talk): Promise<{ talk: Talk; report: ControlReport }> {
  talk.tell({ what: 'more' })
  return { talk, report: await talk.next() }
}

/** The worker's side: answers by its own routes. */
export class ControlLink {
  readonly #report: (id: number, report: ControlReport) => void
  readonly #streams = new Map<number, { more: () => void; stop: AbortController }>()

  constructor(report: (id: number, report: ControlReport) => void) {
    this.#report = report
  }

  /** @param answer what the process answers; rejects with a ControlError */
  heard(id: number, order: ControlOrder, answer: (ask: ControlAsk) => Promise<ControlAnswer>): void {
    if (order.what === 'ask') void this.#answer(id, order.ask, answer)
    else if (order.what === 'more') this.#streams.get(id)?.more()
    else this.#streams.get(id)?.stop.abort()
  }

  async #answer(
    id: number,
    ask: Omit<ControlAsk, 'signal'>,
    answer: (ask: ControlAsk) => Promise<ControlAnswer>,
  ): Promise<void> {
    const stop = new AbortController()
    const turns = new Turns(stop.signal)
    this.#streams.set(id, { more: () => turns.give(), stop })
    try {
      const given = await answer({ ...ask, signal: stop.signal })
      if (isStream(given)) await this.#stream(id, given, turns)
      else this.#report(id, { what: 'answer', value: given })
    } catch (error) {
      const status = error instanceof ControlError ? error.status : 500
      this.#report(id, { what: 'error', status, text: error instanceof Error ? error.message : String(error) })
    } finally {
      this.#streams.delete(id)
    }
  }

  async #stream(id: number, lines: AsyncIterable<string>, turns: Turns): Promise<void> {
    this.#report(id, { what: 'stream' })
    for await (const text of lines) {
      if (!(await turns.take())) break
      this.#report(id, { what: 'lines', text })
    }
    this.#report(id, { what: 'end' })
  }
}

/** Lets one part through for each word from the other side. */
class Turns {
  readonly #signal: AbortSignal
  #given = 0
  #wake: (() => void) | null = null

  constructor(signal: AbortSignal) {
    this.#signal = signal
    signal.addEventListener('abort', () => this.#wake?.(), { once: true })
  }

  give(): void {
    this.#given++
    this.#wake?.()
  }

  /** @returns false when the other side has gone */
  async take(): Promise<boolean> {
    while (this.#given === 0 && !this.#signal.aborted) {
      await new Promise<void>(resolve => {
        this.#wake = resolve
      })
    }
    this.#given--
    return !this.#signal.aborted
  }
}
