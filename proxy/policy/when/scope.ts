import type { Clock, Direction, Json, JsonObject, Message } from '../../api/index.ts'
import type { Asked } from '../plan.ts'

const DIRECTIONS: Readonly<Record<Direction, string>> = { toServer: 'to_server', toClient: 'to_client' }

const NOTHING: JsonObject = Object.freeze({})

/** The variables of an expression, read when it asks for them. One object serves all messages: evaluation never waits. */
export class Scope {
  message!: Message
  asked!: Asked
  private readonly clock: Clock

  constructor(clock: Clock) {
    this.clock = clock
  }

  get client(): string {
    return this.asked.principal.id
  }

  get server(): string {
    return this.asked.server
  }

  get method(): string {
    return this.message.method
  }

  get tool(): string {
    return this.message.method === 'tools/call' ? this.message.name : ''
  }

  get name(): string {
    return this.message.name
  }

  get kind(): string {
    return this.message.kind
  }

  get direction(): string {
    return DIRECTIONS[this.message.direction]
  }

  /** For an answer those of the call it answers, as it was sent. */
  get arguments(): unknown {
    const { message, asked } = this
    const call = message.kind !== 'response' ? message : message.direction === 'toClient' ? asked.request : null
    return call === null || call.byteLength === 0 ? NOTHING : member(memberObject(call, 'params'), 'arguments')
  }

  get result(): unknown {
    return this.message.kind === 'response' ? member(this.message.json(), 'result') : NOTHING
  }

  get headers(): ReadonlyMap<string, string> {
    return this.asked.headers()
  }

  get now(): Date {
    return new Date(this.clock.now())
  }
}

function memberObject(message: Message, key: string): Readonly<JsonObject> {
  const value = message.json()[key]
  return isObject(value) ? value : NOTHING
}

function member(holder: Readonly<JsonObject>, key: string): unknown {
  const value = Object.hasOwn(holder, key) ? holder[key] : undefined
  return isObject(value) ? withoutTraps(value) : NOTHING
}

/**
 * The evaluator tells what a value is by its `constructor`. A peer's object may have a key of that name, and would make
 * every rule about it fail: such an object becomes a Map, which has none. What has no such key stays as it is.
 */
function withoutTraps(value: Json): unknown {
  if (typeof value !== 'object' || value === null) return value
  return Array.isArray(value) ? safeList(value) : safeObject(value)
}

function safeList(values: readonly Json[]): unknown {
  let safe: unknown[] | null = null
  for (let i = 0; i < values.length; i++) {
    const one = withoutTraps(values[i] as Json)
    if (one === values[i]) continue
    safe ??= [...values]
    safe[i] = one
  }
  return safe ?? values
}

function safeObject(value: JsonObject): unknown {
  let safe = Object.hasOwn(value, 'constructor') ? new Map<string, unknown>(Object.entries(value)) : null
  for (const key in value) {
    const one = withoutTraps(value[key] as Json)
    if (one === value[key]) continue
    safe ??= new Map(Object.entries(value))
    safe.set(key, one)
  }
  return safe ?? value
}

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
