import { type Clock, type Kind, type Message, type Need, SluiceError } from '../../api/index.ts'
import { suggestion } from '../../base/suggest.ts'
import type { Asked } from '../plan.ts'
import { analyse, type Fault, type Node } from './analyse.ts'
import { LANGUAGE, MAX_EXPRESSION_LENGTH } from './language.ts'
import { Scope } from './scope.ts'
import { VARIABLES } from './variables.ts'

/** A `when:` that was read: either it can be asked, or there is something wrong with it. */
export type ReadWhen =
  | { readonly when: When; readonly faults?: never }
  | { readonly when?: never; readonly faults: readonly Fault[] }

/** Reads an expression and checks it: syntax, variables, types, cost. Never throws. */
export function readWhen(text: string, clock: Clock): ReadWhen {
  if (text.length > MAX_EXPRESSION_LENGTH) {
    const problem = `expected an expression of at most ${MAX_EXPRESSION_LENGTH} characters, got ${text.length}`
    return { faults: [{ text: problem, offset: 0 }] }
  }
  try {
    const parsed = LANGUAGE.parse(text)
    const { variables, faults } = analyse(parsed.ast as unknown as Node)
    const checked = parsed.check()
    if (!checked.valid) return { faults: [faultOf(checked.error)] }
    if (faults.length > 0) return { faults }
    if (checked.type !== 'bool' && checked.type !== 'dyn') {
      return {
        faults: [{ text: `expected an expression that is true or false, got one of type ${checked.type}`, offset: 0 }],
      }
    }
    return { when: new When(text, variables, parsed as (scope: object) => unknown, clock) }
  } catch (error) {
    return { faults: [faultOf(error)] }
  }
}

/** An error of the language, in our words where people stumble most. */
function faultOf(error: unknown): Fault {
  const { code, summary, range, message } = error as {
    code?: string
    summary?: string
    range?: { start: number }
    message: string
  }
  const said = summary ?? message
  const offset = range?.start ?? 0
  if (code === 'unknown_variable') {
    const name = /: (.*)$/.exec(said)?.[1] ?? ''
    const names = VARIABLES.map(([one]) => one)
    return { text: `unknown variable "${name}"${suggestion(name, names, 'there are')}`, offset }
  }
  if (code === 'unexpected_character' && said.endsWith(': ='))
    return { text: 'a single "=": to compare, write "=="', offset }
  return { text: `bad expression: ${said.charAt(0).toLowerCase()}${said.slice(1)}`, offset }
}

/** Errors whose text names keys and types of the expression; that of others may quote what a peer sent. */
const TELLS_NO_VALUE = new Set(['no_such_key', 'no_such_overload', 'no_matching_overload'])

/** An expression over one message, for one chain entry. */
export class When {
  readonly text: string
  readonly variables: ReadonlySet<string>
  private readonly evaluate: (scope: object) => unknown
  private readonly scope: Scope

  constructor(text: string, variables: ReadonlySet<string>, evaluate: (scope: object) => unknown, clock: Clock) {
    this.text = text
    this.variables = variables
    this.evaluate = evaluate
    this.scope = new Scope(clock)
  }

  /** How much of a message of this kind it reads. The arguments that an answer is about are at hand without the answer. */
  need(kind: Kind): Need {
    return this.variables.has(kind === 'response' ? 'result' : 'arguments') ? 'json' : 'envelope'
  }

  /** @throws SluiceError when the expression cannot be decided for this message */
  holds(message: Message, asked: Asked): boolean {
    const { scope } = this
    scope.message = message
    scope.asked = asked
    const value = this.decide()
    if (typeof value === 'boolean') return value
    throw new SluiceError('interceptor_failed', `when: expected true or false, got a ${typeof value}`)
  }

  private decide(): unknown {
    try {
      return this.evaluate(this.scope)
    } catch (error) {
      const { code = 'failed', summary } = error as { code?: string; summary?: string }
      throw new SluiceError(
        'interceptor_failed',
        `when: ${summary !== undefined && TELLS_NO_VALUE.has(code) ? summary : code}`,
      )
    }
  }
}
