import { once } from 'node:events'
import type { Json, Logger } from '#api'
import { parseOutput } from './answer.ts'
import { type Bounds, type Caller, ExternalError } from './caller.ts'
import { Child } from './child.ts'
import type { Command } from './command.ts'
import { Deadline } from './deadline.ts'
import { Gate } from './gate.ts'

/** A process for each message: JSON on its input, JSON or nothing on its output, and 0 as its exit code. */
export class OneShot implements Caller {
  readonly #command: Command
  readonly #bounds: Bounds
  readonly #stderr: Logger | null
  readonly #gate: Gate
  readonly #children = new Set<Child>()
  #closed = false

  constructor(command: Command, bounds: Bounds, processes: number, logger: Logger, logStderr: boolean) {
    this.#command = command
    this.#bounds = bounds
    this.#stderr = logStderr ? logger : null
    this.#gate = new Gate(processes, bounds.queue)
  }

  async call(body: string, signal: AbortSignal): Promise<Json | undefined> {
    const deadline = new Deadline(this.#bounds.timeoutMs, signal)
    try {
      return await this.#gate.run(deadline.signal, () => this.#run(body, deadline.signal))
    } finally {
      deadline.clear()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#children].map(child => child.close()))
  }

  async #run(body: string, signal: AbortSignal): Promise<Json | undefined> {
    signal.throwIfAborted()
    if (this.#closed) throw new ExternalError('the policy was replaced')
    const child = new Child(this.#command, this.#stderr)
    const kill = (): void => child.kill()
    this.#children.add(child)
    signal.addEventListener('abort', kill, { once: true })
    try {
      return await this.#talk(child, body, signal)
    } finally {
      signal.removeEventListener('abort', kill)
      this.#children.delete(child)
    }
  }

  async #talk(child: Child, body: string, signal: AbortSignal): Promise<Json | undefined> {
    child.stdin.end(`${body}\n`)
    const [output, ending] = await Promise.all([this.#output(child), child.ended])
    signal.throwIfAborted()
    if (output === null) {
      throw new ExternalError(`answered with more than ${this.#bounds.maxOutputBytes} bytes (max_output_bytes)`)
    }
    if (ending !== 'code 0') throw new ExternalError(`the process ended: ${ending}`)
    return parseOutput(output)
  }

  /** Everything it writes until it ends; `null` when that is too much. */
  async #output(child: Child): Promise<string | null> {
    const chunks: Buffer[] = []
    let bytes = 0
    child.stdout.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      if (bytes <= this.#bounds.maxOutputBytes) chunks.push(chunk)
      else child.kill()
    })
    if (!child.stdout.closed) await once(child.stdout, 'close')
    return bytes > this.#bounds.maxOutputBytes ? null : Buffer.concat(chunks).toString()
  }
}
