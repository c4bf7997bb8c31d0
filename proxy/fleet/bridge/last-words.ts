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

  stderr(line: string): void {
    this.take('info', 'stderr', line)
  }

  /** @param line the start of what was written to standard output and is no JSON-RPC message */
  garbage(line: string): void {
    this.take('warn', 'standard output is for messages only', line)
  }

  /** The last lines as an end of a sentence; `''` = it said nothing. */
  get quote(): string {
    return this.lines.length === 0 ? '' : `; it said: ${this.lines.join(' | ')}`
  }

  private take(level: 'info' | 'warn', text: string, raw: string): void {
    if (raw === '') return
    const line = this.context.redact(raw)
    this.lines.push(line.slice(0, MAX_LINE_CHARS))
    if (this.lines.length > MAX_LINES) this.lines.shift()
    const now = performance.now()
    if (now - this.secondStartedMs > 1_000) this.nextSecond(now)
    if (++this.inSecond <= MAX_LINES_A_SECOND) tell(this.context, level, text, { process: this.process, line })
  }

  private nextSecond(now: number): void {
    const lost = this.inSecond - MAX_LINES_A_SECOND
    this.secondStartedMs = now
    this.inSecond = 0
    if (lost > 0) tell(this.context, 'warn', 'too much on stderr', { process: this.process, lines_left_out: lost })
  }
}
