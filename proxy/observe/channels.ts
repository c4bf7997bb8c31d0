import { type Channel, channel } from 'node:diagnostics_channel'
import type { Outcome } from '../api/index.ts'

/** A server as metrics and log see an exchange with it: the exchange itself, plus what only the end knows. */
export interface ExchangeEnd {
  readonly id: string
  readonly server: string
  readonly method: string
  readonly name: string
  readonly client: string
  readonly session: string | null
  readonly startedAt: number
  readonly era: 'legacy' | 'modern'
  readonly httpMethod: string
  readonly outcome: Outcome
}

/** A request that was refused before it became an exchange (bad Host, bad JSON, no such path). */
export interface Refusal {
  readonly code: string
  readonly status: number
  readonly reason: string
}

/** A policy or configuration that was, or was not, taken into use. */
export interface Reload {
  readonly what: 'policy' | 'shadow policy' | 'config' | 'tls'
  readonly ok: boolean
  readonly generation: number
  /** The whole error text when `ok` is false. */
  readonly text: string
}

/** A step of an interceptor's own counter. */
export interface Counted {
  /** With `sluice_` and `_total`. */
  readonly name: string
  readonly help: string
  readonly labels: readonly string[]
  readonly by: number
  readonly values: readonly string[]
}

/** Something an operator should know, with its level. */
export interface Notice {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly text: string
  readonly fields: Readonly<Record<string, unknown>>
}

/** Something that happened to a replica that Sluice runs. */
export interface FleetEvent {
  readonly server: string
  /** `started` = it is ready; `lost` = it ended, or was not well, and is replaced. */
  readonly what: 'started' | 'lost'
  /** From the decision to start it until it was ready; 0 when it was lost. */
  readonly seconds: number
}

/** A line that a replica wrote: its standard error, or its standard output where that is not MCP. */
export interface Output {
  readonly server: string
  /** The instance's id. */
  readonly replica: string
  /** Without line break, cut at 8 KiB. */
  readonly line: string
}

/** Something that the guards of a server did: a retry, a refusal, a circuit that opened. */
export interface Guarded {
  readonly server: string
  /** One of a few fixed words. */
  readonly event: string
}

/**
 * Diagnostics channels: the hot files publish, `observe` subscribes, nobody imports log or metrics. Publishing costs
 * one boolean (`hasSubscribers`) when nobody listens.
 */
export const channels = {
  /** An exchange began: active requests + 1. The message is the exchange's server name. */
  exchangeStart: channel('sluice:exchange:start') as Channel<unknown, string>,
  /** An exchange ended, exactly once each. */
  exchangeEnd: channel('sluice:exchange:end') as Channel<unknown, ExchangeEnd>,
  refusal: channel('sluice:refusal') as Channel<unknown, Refusal>,
  reload: channel('sluice:reload') as Channel<unknown, Reload>,
  notice: channel('sluice:notice') as Channel<unknown, Notice>,
  /** Kept by the fleet for `sluice server logs`, and written into the log. */
  output: channel('sluice:output') as Channel<unknown, Output>,
  fleet: channel('sluice:fleet') as Channel<unknown, FleetEvent>,
  guarded: channel('sluice:guarded') as Channel<unknown, Guarded>,
  counted: channel('sluice:counted') as Channel<unknown, Counted>,
} as const
