import type { Exchange, Json, Message } from '#api'
import { describeError } from './describe-error.ts'
import type { Pool } from './pool.ts'

/** What a filter gave for one input: any number of values. */
export type Outputs = readonly Json[]

interface Outcome {
  /** The outputs. */
  readonly o?: Json[]
  /** What the filter threw. */
  readonly e?: Json
}

/** Runs the filter on the parts of messages. */
export class Filter {
  readonly #pool: Pool
  #count = 0

  constructor(pool: Pool) {
    this.#pool = pool
  }

  /**
   * @param inputs parts of one message, each filtered by itself
   * @returns their outputs, in order
   * @throws Error where the filter threw on one of them; its text holds nothing of the message
   */
  async run(inputs: readonly Json[], message: Message, exchange: Exchange): Promise<Outputs[]> {
    const number = this.#count++
    const variables = [exchange.principal.id, exchange.server, toolOf(message), message.method]
    const line = await this.#pool.ask(`${JSON.stringify([number, variables, inputs])}\n`, exchange)
    const [answered, outcomes] = JSON.parse(line.toString()) as [number, Outcome[]]
    // One line for each line, one process for each message: this can only be a fault, and must not become a leak.
    if (answered !== number || outcomes.length !== inputs.length) throw new Error('jq answered another message')
    return outcomes.map(outputsOf)
  }
}

/** The tool that a message is about; `''` for lists. */
function toolOf(message: Message): string {
  return message.method === 'tools/call' ? message.name : ''
}

function outputsOf(outcome: Outcome): Outputs {
  if (outcome.o === undefined) throw new Error(describeError(outcome.e))
  return outcome.o
}

/** The only output. @throws Error where there are more, or none */
export function single(outputs: Outputs): Json {
  const [only] = outputs
  if (only === undefined || outputs.length > 1) {
    throw new Error(`the filter gave ${outputs.length} values where one is needed: put it into [ ], or use first(…)`)
  }
  return only
}

/** Outputs as jq prints them, a line each. @param raw whether strings stand there without quotes, as with `jq -r` */
export function printed(outputs: Outputs, raw: boolean): string {
  return outputs.map(output => (raw && typeof output === 'string' ? output : JSON.stringify(output))).join('\n')
}
