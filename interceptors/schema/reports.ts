import { LRUCache } from 'lru-cache'
import type { Count, Environment, Exchange, Logger } from '#api'
import { brief } from './check/json.ts'

/** What there is to report about a tool is logged once; so many are kept in mind. */
const MAX_LOGGED = 10_000

/** What went wrong with a call, a result or a tool: the `what` of the counter. */
export type What =
  | 'unknown_tool'
  | 'arguments'
  | 'result'
  | 'unusable_schema'
  | 'pattern'
  | 'coerced'
  | 'changed_tool'
  | 'new_tool'

/** Tells operators: a field of the access line, a counter, and the log where it is about a server rather than a call. */
export class Reports {
  readonly #count: Count
  readonly #logger: Logger
  readonly #logged = new LRUCache<string, true>({ max: MAX_LOGGED })

  constructor(environment: Environment) {
    this.#logger = environment.logger
    this.#count = environment.counter(
      'sluice_schema_findings_total',
      'What the interceptor "schema" found, whether it refused it or not.',
      ['server', 'what', 'action'],
    )
  }

  /** @param note what the access line says */
  found(exchange: Exchange, what: What, action: 'deny' | 'report', note: string | number): void {
    exchange.note(`schema_${what}`, note)
    this.#count(1, exchange.server, what, action)
  }

  /** Logs something about a tool, once for each `mark`. */
  once(server: string, tool: string, mark: string, fields: Readonly<Record<string, unknown>>, text: string): void {
    const key = `${server}\n${tool}\n${mark}`
    if (this.#logged.has(key)) return
    this.#logged.set(key, true)
    this.#logger.warn({ server, tool: brief(tool, 200), ...fields }, text)
  }
}
