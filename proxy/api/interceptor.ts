import { z } from 'zod'
import type { Environment } from './environment.ts'
import type { Exchange, Outcome } from './exchange.ts'
import type { Look } from './look.ts'
import type { Kind, Message } from './message.ts'
import type { Verdict } from './verdict.ts'

export type MaybeAsync<T> = T | Promise<T>

/** Describes the options of an interceptor: a zod schema. Unknown keys are errors; it yields JSON Schema for editors. */
export type Schema<O> = z.ZodType<O>

/** Looks at one message. Nothing = go on. Return a promise only where there is something to wait for. */
// biome-ignore lint/suspicious/noConfusingVoidType: a hook that only looks, or edits, has nothing to return
export type Hook<S> = (message: Message, exchange: Exchange, state: S) => MaybeAsync<Verdict | undefined | void>

/** What `create` gives: one set of hooks for one chain entry. A hook that is absent costs nothing. */
export interface Hooks<S = undefined> {
  /**
   * The methods that these hooks look at, where the options settle that: in place of the `methods` of the kind's look.
   * The fewer there are, the less is held and parsed.
   */
  readonly methods?: { readonly [K in Kind]?: readonly string[] }
  /** Makes the entry's own state of one exchange, before its first hook. */
  state?(exchange: Exchange): S
  request?: Hook<S>
  response?: Hook<S>
  notification?: Hook<S>
  /** Called exactly once an exchange, whatever happened. It cannot change anything any more. */
  end?(exchange: Exchange, outcome: Outcome, state: S): void
  /** Called when the policy that owns this entry is gone and its last exchange has ended. */
  close?(): MaybeAsync<void>
}

/** All there is to say about an interceptor. */
export interface InterceptorDefinition<O, S> {
  /** Kebab-case; what `use:` names. */
  readonly name: string
  /** One sentence for `sluice list`. */
  readonly summary: string
  readonly options: Schema<O>
  /** How closely each hook looks. A kind that has a hook but no look is an error at load. */
  readonly looks: { readonly [K in Kind]?: Look }
  /** What a throw, a time-out or a message that cannot be read means, unless the chain entry says otherwise. */
  readonly onFailure: 'open' | 'closed'
  /**
   * Whether it answers requests with what other requests got: then it must stand behind `access` in the chain, or clients
   * would get what they may not ask for. Elsewhere is a policy error. Default false.
   */
  readonly answers?: boolean
  /**
   * Whether its request hook decides by what is asked for: rights, validity. Then it is called again, once, for a request
   * that an entry behind it has changed, before that is sent: what counts is what the server gets. Default false.
   */
  readonly recheck?: boolean
  /** Limit for the promise a hook returns. Default 5000. */
  readonly timeoutMs?: number
  /** Called once for each chain entry, at load. A throw is a policy error. */
  create(options: O, environment: Environment): MaybeAsync<Hooks<S>>
}

const BRAND = Symbol.for('sluice.interceptor')

/** A checked definition, as `defineInterceptor` gives it. */
export interface Interceptor<O = unknown, S = unknown> extends InterceptorDefinition<O, S> {
  readonly [BRAND]: true
}

const NAME = /^[a-z][a-z0-9]*(-[a-z0-9]+)*$/

/**
 * Declares an interceptor; a module exports what this gives as its default.
 * @throws TypeError when the definition itself is wrong
 */
export function defineInterceptor<O, S = undefined>(definition: InterceptorDefinition<O, S>): Interceptor {
  if (!NAME.test(definition.name)) {
    throw new TypeError(`interceptor name "${definition.name}": expected kebab-case, like "no-weekend-deploys"`)
  }
  const options = strict(definition.options)
  return Object.freeze({ ...definition, options, [BRAND]: true }) as unknown as Interceptor
}

/** Whether a module's export is an interceptor: by brand, so that two copies of the package agree. */
export function isInterceptor(value: unknown): value is Interceptor {
  return typeof value === 'object' && value !== null && (value as Record<symbol, unknown>)[BRAND] === true
}

/** Unknown option keys are errors even where the author wrote `z.object`. */
function strict<O>(schema: Schema<O>): Schema<O> {
  if (schema instanceof z.ZodObject && schema.def.catchall === undefined) return schema.strict() as unknown as Schema<O>
  return schema
}
