import {
  type Environment,
  type Exchange,
  type Json,
  type JsonObject,
  type Message,
  parseExact,
  requestKey,
  type Verdict,
} from '#api'
import { Group, type GroupOwner, type Item } from './group.ts'
import type { Merge, Options } from './options.ts'

/** Groups that wait at the same time; calls beyond go on by themselves. */
const MAX_GROUPS = 10_000

/** Members of `_meta` that belong to one call alone. */
const OWN_META = ['progressToken', 'traceparent', 'tracestate', 'baggage']

/** A place in a group, for the call that has to wait. */
export interface Place {
  readonly verdict: Promise<Verdict | undefined>
  leave(): void
}

/** Tells how many calls became one, and how many of them were answered by it. */
export type TellMerged = (server: string, calls: number, answered: number) => void

/** Gathers calls for one thing each, and asks for all of them at once. */
export class Merger implements GroupOwner {
  readonly entry: string
  readonly timeoutMs: number
  readonly maxSize: number
  readonly merged: TellMerged
  readonly #windowMs: number
  readonly #open = new Map<string, Group>()

  constructor(options: Options, environment: Environment, tell: TellMerged) {
    this.entry = environment.entry
    this.timeoutMs = options.timeout
    this.maxSize = options.max_size
    this.merged = tell
    this.#windowMs = options.window
  }

  /** @returns `null` where this call cannot be merged: it lacks the argument, is a step of something longer */
  join(rule: Merge, place: string, message: Message, exchange: Exchange): Place | null {
    if (requestKey(message.bytes()) === null) return null
    const { params } = parseExact(message.bytes()) as JsonObject
    if (!isObject(params) || !isObject(params.arguments)) return null
    const value = takeOut(params.arguments, rule.collect.from)
    if (value === null || Object.hasOwn(params.arguments, rule.collect.to)) return null
    const rest = Buffer.from(JSON.stringify({ method: 'tools/call', params }))
    const group = this.#groupOf(rule, `${place}${requestKey(rest)}`, params)
    if (group === null) return null
    const { promise, resolve } = Promise.withResolvers<Verdict | undefined>()
    const item: Item = { value, text: JSON.stringify(value), exchange, resolve }
    group.add(item)
    return { verdict: promise, leave: () => group.leave(item) }
  }

  closed(group: Group): void {
    if (this.#open.get(group.key) === group) this.#open.delete(group.key)
  }

  #groupOf(rule: Merge, key: string, params: JsonObject): Group | null {
    const known = this.#open.get(key)
    if (known !== undefined) return known
    if (this.#open.size >= MAX_GROUPS) return null
    if (isObject(params._meta)) for (const name of OWN_META) delete params._meta[name]
    const group = new Group(this, key, rule, params, this.#windowMs)
    this.#open.set(key, group)
    return group
  }
}

/** What a call is about: a string or a number; `null` when it is neither. A number may stand as its exact text. */
function takeOut(args: JsonObject, name: string): Item['value'] | null {
  if (!Object.hasOwn(args, name)) return null
  const value = args[name] as Json
  delete args[name]
  if (typeof value === 'string' || typeof value === 'number') return value
  return isRaw(value) ? (value as JsonObject) : null
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const isRaw = (JSON as unknown as { isRawJSON(value: unknown): boolean }).isRawJSON
