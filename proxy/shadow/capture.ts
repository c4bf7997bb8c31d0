import { z } from 'zod'
import { type Exchange, GlobList, type Json } from '../api/index.ts'
import type { ToolTable } from '../chain/tool-table.ts'
import { ControlError } from '../observe/control-routes.ts'
import { type CorpusExchange, corpusExchange } from './corpus.ts'
import type { Recording } from './recording.ts'
import { optionsOf, Redactor } from './redactor.ts'
import { Sampler } from './sampler.ts'
import type { Watcher } from './witnesses.ts'

/** What `sluice capture` asks for. */
export const captureSpec = z.strictObject({
  max: z.number().int().min(1),
  max_bytes: z.number().int().min(1),
  for_ms: z.number().int().min(1),
  /** 0 to 1. */
  sample: z.number().min(0).max(1),
  servers: z.array(z.string()),
  tools: z.array(z.string()),
  values: z.enum(['redacted', 'hashed', 'encrypted']),
  /** For `hashed`: the same for all workers. */
  hash_key: z.string(),
})

export type CaptureSpec = z.infer<typeof captureSpec>

/** Lines that wait for a reader who is slow; further exchanges are lost, and counted. */
const MAX_WAITING_BYTES = 16 * 1024 * 1024
/** Recordings that wait to be written as lines. */
const MAX_UNWRITTEN = 100

/** Records exchanges for somebody at the control socket, until there are enough or the time is over. */
export class Capture implements Watcher {
  readonly #spec: CaptureSpec
  readonly #tools: ToolTable
  readonly #sampler: Sampler
  readonly #servers: GlobList
  readonly #names: GlobList
  readonly #waiting: string[] = []
  #waitingBytes = 0
  #unwritten = 0
  #captured = 0
  #bytes = 0
  #lost = 0
  #over = ''
  #wake: () => void = () => {}

  constructor(spec: CaptureSpec, tools: ToolTable) {
    this.#spec = spec
    this.#tools = tools
    this.#sampler = new Sampler(spec.sample)
    this.#servers = new GlobList(spec.servers.length === 0 ? ['*'] : spec.servers)
    this.#names = new GlobList(spec.tools.length === 0 ? ['*'] : spec.tools)
  }

  /** @throws ControlError that says what is wrong with the question */
  static parse(body: Json): CaptureSpec {
    const { data, error } = captureSpec.safeParse(body)
    if (data !== undefined) return data
    throw new ControlError(400, error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '))
  }

  wants(exchange: Exchange): boolean {
    if (this.#over !== '') return false
    if (!this.#servers.fits(exchange.server)) return false
    if (this.#spec.tools.length > 0 && !(exchange.method === 'tools/call' && this.#names.fits(exchange.name)))
      return false
    return this.#sampler.next()
  }

  take(recording: Recording | null): void {
    if (this.#over !== '') return
    if (recording === null || this.#unwritten >= MAX_UNWRITTEN || this.#waitingBytes >= MAX_WAITING_BYTES) {
      this.#lost++
      return
    }
    this.#unwritten++
    setImmediate(() => {
      this.#unwritten--
      this.#write(recording)
    })
  }

  /** Ends it. @param why for people */
  stop(why: string): void {
    if (this.#over === '') this.#over = why
    this.#wake()
  }

  /**
   * The lines, as they come: `{ begin }`, any number of `{ exchange }`, and a last `{ end }`.
   * @param signal ends it
   */
  async *lines(signal: AbortSignal): AsyncGenerator<string> {
    const timer = setTimeout(() => this.stop('the time is over'), this.#spec.for_ms)
    const onAbort = (): void => this.stop('stopped')
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      yield `${JSON.stringify({ begin: {} })}\n`
      for (;;) {
        for (let line = this.#next(); line !== undefined; line = this.#next()) yield line
        if (this.#over !== '') break
        await new Promise<void>(resolve => {
          this.#wake = resolve
        })
      }
      yield `${JSON.stringify({ end: { captured: this.#captured, lost: this.#lost, why: this.#over } })}\n`
    } finally {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      this.stop('stopped')
    }
  }

  #next(): string | undefined {
    const line = this.#waiting.shift()
    if (line !== undefined) this.#waitingBytes -= line.length
    return line
  }

  #write(recording: Recording): void {
    if (this.#over !== '') return
    try {
      const line = `${JSON.stringify({ exchange: exchangeLine(recording, this.#spec, this.#tools) })}\n`
      this.#bytes += line.length
      if (this.#bytes > this.#spec.max_bytes) {
        this.stop('max_bytes is reached')
        return
      }
      this.#waiting.push(line)
      this.#waitingBytes += line.length
      this.#captured++
      if (this.#captured >= this.#spec.max) this.stop('max is reached')
    } catch {
      // Its name is a secret, or its body is compressed in a way nobody knows: it cannot be kept, and others can.
      this.#lost++
    }
    this.#wake()
  }
}

/** An exchange as the corpus keeps it. Values that must not be recorded are taken out whatever was asked for. */
export function exchangeLine(
  recording: Recording,
  spec: Pick<CaptureSpec, 'values' | 'hash_key'>,
  tools: ToolTable,
): CorpusExchange {
  const { server, method, name, outcome } = recording
  // A name that must not be recorded is what rules would be about: there is nothing left to replay.
  if (outcome.withheldName) throw new Error('its name must not be recorded')
  const isSealed = spec.values === 'encrypted' && outcome.withheld === ''
  if (isSealed) return corpusExchange(recording, null, text => text)
  const redactor = new Redactor(spec.values === 'hashed' ? spec.hash_key : '', outcome.withheld !== '')
  const options = optionsOf(tools.get(server)?.get(name)?.['inputSchema'])
  const kept = corpusExchange(
    recording,
    message => redactor.message(message, method, options),
    text => redactor.text(text),
  )
  return { ...kept, redacted: redactor.replaced }
}
