import type { Json, JsonObject, Logger } from '#api'
import { isObject, parseOutput } from './answer.ts'
import { ExternalError } from './caller.ts'
import { Child } from './child.ts'
import type { Command } from './command.ts'
import { Lines } from './lines.ts'

/** Who waits for the answer to one line. */
export interface Job {
  /** A JSON object as text, on one line. */
  readonly body: string
  done(answer: Json): void
  failed(error: ExternalError): void
}

/** Told of what happens to a process. */
export interface LineProcessOwner {
  /** It has answered a line: it has room for another one. */
  answered(process: LineProcess): void
  /** It is gone. Its jobs have been told. */
  gone(process: LineProcess, ending: string): void
}

/**
 * A process that answers one line of JSON with one line of JSON. Each line it gets has an `id` of its own as first member, and
 * the answer must have the same: so no answer can be taken for another's. Whatever it does otherwise ends it.
 */
export class LineProcess {
  readonly #owner: LineProcessOwner
  readonly #child: Child
  readonly #lines: Lines
  readonly #maxBytes: number
  readonly #jobs = new Map<number, Job>()
  #sequence = 0
  #answered = 0
  #reason = ''

  constructor(command: Command, maxBytes: number, logger: Logger | null, owner: LineProcessOwner) {
    this.#owner = owner
    this.#maxBytes = maxBytes
    this.#lines = new Lines(maxBytes)
    this.#child = new Child(command, logger)
    this.#child.stdout.on('data', (chunk: Buffer) => this.#read(chunk))
    void this.#child.ended.then(how => this.#ended(how))
  }

  /** Lines that wait for an answer. */
  get inFlight(): number {
    return this.#jobs.size
  }

  /** Whether it has answered anything yet. */
  get isUseful(): boolean {
    return this.#answered > 0
  }

  /** Whether it takes no more lines. */
  get isDoomed(): boolean {
    return this.#reason !== ''
  }

  send(job: Job): void {
    const id = ++this.#sequence
    this.#jobs.set(id, job)
    const rest = job.body.slice(1)
    this.#child.stdin.write(`{"id":${id}${rest === '}' ? '' : ','}${rest}\n`)
  }

  has(job: Job): boolean {
    for (const one of this.#jobs.values()) if (one === job) return true
    return false
  }

  /** Ends it at once; those who wait are told `reason`. */
  doom(reason: string): void {
    if (this.isDoomed) return
    this.#reason = reason
    this.#child.kill()
    this.#failAll(reason)
  }

  close(): Promise<void> {
    this.#reason ||= 'the policy was replaced'
    this.#failAll(this.#reason)
    return this.#child.close()
  }

  #read(chunk: Buffer): void {
    if (this.isDoomed) return
    const lines = this.#lines.push(chunk)
    if (lines === null) {
      this.doom(`answered with a line of more than ${this.#maxBytes} bytes (max_output_bytes)`)
      return
    }
    for (const line of lines) if (!this.isDoomed) this.#take(line)
  }

  #take(line: Buffer): void {
    let answer: JsonObject
    try {
      answer = parseLine(line)
    } catch (error) {
      this.doom((error as Error).message)
      return
    }
    const id = Number(answer['id'])
    const job = this.#jobs.get(id)
    if (job === undefined) {
      this.doom('answered with an "id" that nobody waits for')
      return
    }
    this.#jobs.delete(id)
    this.#answered++
    job.done(answer)
    this.#owner.answered(this)
  }

  #ended(how: string): void {
    this.#reason ||= `the process ended: ${how}`
    this.#failAll(this.#reason)
    this.#owner.gone(this, how)
  }

  #failAll(reason: string): void {
    const jobs = [...this.#jobs.values()]
    this.#jobs.clear()
    for (const job of jobs) job.failed(new ExternalError(reason))
  }
}

function parseLine(line: Buffer): JsonObject {
  const answer = parseOutput(line.toString())
  if (!isObject(answer)) throw new ExternalError('answered with a line that is no JSON object')
  if (typeof answer['id'] !== 'number' && typeof answer['id'] !== 'string') {
    throw new ExternalError('answered with a line that lacks the "id" of the line it answers')
  }
  return answer
}
