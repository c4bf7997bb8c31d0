import { channels } from '../../observe/channels.ts'
import { type BridgeContext, tell } from './context.ts'

const MAX_LINES = 6
const MAX_LINE_CHARS = 300
/** Lines of one process that go to the log in one second; what is beyond is counted. */
const MAX_LINES_A_SECOND = 100

/** What a process says on standard error, and on standard output where it is no message: to the log, and the end of it into errors. */
export class LastWords {
  private readonly context: BridgeContext
  private readonly process: string
  private readonly lines: string[]
  private secondStartedMs: number
  private inSecond: number

  constructor(context: BridgeContext, process: string) {
    this.context = context
    this.process = process
    this.lines = []
    this.secondStartedMs = Number.NEGATIVE_INFINITY
    this.inSecond = 0
  }

  stderr(raw: string): void {
    const line = this.take(raw)
    if (line !== '') channels.output.publish({ server: this.context.server, replica: this.context.id, line })
  }

  /** @param raw the start of what was written to standard output and is no JSON-RPC message */
  garbage(raw: string): void {
    const line = this.take(raw)
    if (line !== '') tell(this.context, 'warn', 'not a message on standard output', { process: this.process, line })
  }

  /** The last lines as an end of a sentence; `''` = it said nothing. */
  get quote(): string {
    return this.lines.length === 0 ? '' : `; it said: ${this.lines.join(' | ')}`
  }

  /** @returns what goes to the log; `''` = nothing */
  private take(raw: string): string {
    if (raw === '') return ''
    const line = this.context.redact(raw)
    this.lines.push(line.slice(0, MAX_LINE_CHARS))
    if (this.lines.length > MAX_LINES) this.lines.shift()
    const now = performance.now()
    if (now - this.secondStartedMs > 1_000) this.nextSecond(now)
    return ++this.inSecond <= MAX_LINES_A_SECOND ? line : ''
  }

  private nextSecond(now: number): void {
    const lost = this.inSecond - MAX_LINES_A_SECOND
    this.secondStartedMs = now
    this.inSecond = 0
    if (lost > 0) tell(this.context, 'warn', 'too much output', { process: this.process, lines_left_out: lost })
  }
}
