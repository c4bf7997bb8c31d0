import { GlobList, type JsonObject } from '#api'
import type { Keep } from './cut-text.ts'
import type { RuleOptions } from './options.ts'
import { PathSet } from './paths.ts'
import { type Limits, NO_LIMIT } from './reduce.ts'

/** Bytes that count as one token. An estimate: English text in common tokenizers has about four. */
export const BYTES_PER_TOKEN = 4

/** A rule, made ready. */
export class Rule {
  readonly leave: boolean
  readonly above: number
  /** `NO_LIMIT` = no budget. */
  readonly maxBytes: number
  readonly pick: PathSet | null
  readonly drop: PathSet | null
  readonly limits: Limits
  readonly text: Keep
  readonly summarise: boolean
  readonly structured: 'shape' | 'leave' | 'remove'
  readonly outputSchema: JsonObject | null
  readonly link: boolean
  /** Whether a result within the budget may change as well. */
  readonly always: boolean
  readonly #tools: GlobList
  readonly #servers: GlobList
  readonly #clients: GlobList

  constructor(given: RuleOptions) {
    this.leave = given.leave === true
    this.above = given.above
    this.maxBytes = given.max_bytes ?? (given.max_tokens === undefined ? NO_LIMIT : given.max_tokens * BYTES_PER_TOKEN)
    this.pick = given.pick === undefined ? null : new PathSet(given.pick)
    this.drop = given.drop === undefined ? null : new PathSet(given.drop)
    this.limits = {
      items: given.items,
      maxItems: given.max_items ?? NO_LIMIT,
      maxStringBytes: given.max_string ?? NO_LIMIT,
      maxMembers: NO_LIMIT,
    }
    this.text = given.text
    this.summarise = given.summarise
    this.structured = given.structured
    this.outputSchema = (given.output_schema as JsonObject | undefined) ?? null
    this.link = given.link
    const limited = given.max_items !== undefined || given.max_string !== undefined
    this.always = this.pick !== null || this.drop !== null || limited || this.structured === 'remove'
    this.#tools = new GlobList(given.tools)
    this.#servers = new GlobList(given.servers)
    this.#clients = new GlobList(given.clients)
  }

  fits(server: string, tool: string, client: string): boolean {
    return this.#tools.fits(tool) && this.#servers.fits(server) && this.#clients.fits(client)
  }

  /** Whether a message of so many bytes can hold anything that this rule changes. */
  mayTouch(messageBytes: number): boolean {
    return messageBytes > this.above && (this.always || messageBytes > this.maxBytes)
  }
}

/** The rule for a tool; `null` = its results stay as they are. */
export function ruleFor(rules: readonly Rule[], server: string, tool: string, client: string): Rule | null {
  for (const rule of rules) {
    if (rule.fits(server, tool, client)) return rule.leave ? null : rule
  }
  return null
}
