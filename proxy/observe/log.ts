import { pino } from 'pino'
import type { Logger } from '../api/index.ts'
import { backgroundDestination, type Destination } from './destination.ts'
import { createPrettify } from './pretty.ts'
import { redact, scrub } from './redact.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

export interface LogOptions {
  readonly level: LogLevel
  /** `auto` = `pretty` where standard output is a terminal, else `json`. */
  readonly format: 'auto' | 'json' | 'pretty'
  /** File descriptor, file, or anything with `write`. Default: standard output. */
  readonly destination?: number | string | Destination
  /** ANSI colours in the pretty format. Default: where standard output is a terminal and `NO_COLOR` is not set. */
  readonly colors?: boolean
}

/** The process's log: what `#api` calls a Logger, and what only the process itself needs. */
export interface Log extends Logger {
  readonly format: 'json' | 'pretty'
  /** A log that adds these fields to each of its lines. */
  child(fields: Readonly<Record<string, unknown>>): Log
  enabled(level: Exclude<LogLevel, 'silent'>): boolean
  /** Writes a finished JSON line, with its line end, as it is. Only where `format` is `json`. */
  line(text: string): void
  /** Hands everything that waits to the operating system. */
  flush(): void
}

/**
 * Makes the log. Lines are `{"level":"info","timestamp":"2026-11-21T10:22:31.004Z","message":"…",…}`; values under
 * secret keys are hidden (`redact.ts`). JSON lines are buffered as `destination.ts` says, with its bound; in the pretty
 * format each line is written at once.
 */
export function createLog(options: LogOptions): Log {
  const format = options.format === 'auto' ? defaultFormat(options.destination) : options.format
  const destination = openDestination(options.destination ?? 1, format, lines => {
    logger.warn({ dropped: lines }, 'log lines were dropped: the reader of the log is too slow')
  })
  const sink = format === 'pretty' ? prettyDestination(destination, options.colors ?? wantsColors()) : destination
  const logger = pino(
    {
      level: options.level,
      base: null,
      messageKey: 'message',
      timestamp: () => `,"timestamp":"${new Date().toISOString()}"`,
      formatters: { level: label => ({ level: label }), log: redact },
      // `redact` decides about depth; this only has to be larger.
      depthLimit: 16,
    },
    sink,
  )
  return new PinoLog(logger, destination, format)
}

function openDestination(
  target: number | string | Destination,
  format: 'json' | 'pretty',
  onDropped: (lines: number) => void,
): Destination {
  if (typeof target === 'object') return target
  if (format === 'json') return backgroundDestination(target, onDropped)
  return pino.destination({ dest: target, sync: true }) as unknown as Destination
}

class PinoLog implements Log {
  readonly format: 'json' | 'pretty'
  readonly #logger: pino.Logger
  readonly #destination: Destination

  constructor(logger: pino.Logger, destination: Destination, format: 'json' | 'pretty') {
    this.#logger = logger
    this.#destination = destination
    this.format = format
  }

  debug(fields: Readonly<Record<string, unknown>>, text: string): void {
    this.#logger.debug(fields, scrub(text))
  }

  info(fields: Readonly<Record<string, unknown>>, text: string): void {
    this.#logger.info(fields, scrub(text))
  }

  warn(fields: Readonly<Record<string, unknown>>, text: string): void {
    this.#logger.warn(fields, scrub(text))
  }

  error(fields: Readonly<Record<string, unknown>>, text: string): void {
    this.#logger.error(fields, scrub(text))
  }

  child(fields: Readonly<Record<string, unknown>>): Log {
    return new PinoLog(this.#logger.child(redact(fields)), this.#destination, this.format)
  }

  enabled(level: Exclude<LogLevel, 'silent'>): boolean {
    return this.#logger.isLevelEnabled(level)
  }

  line(text: string): void {
    this.#destination.write(text)
  }

  flush(): void {
    this.#destination.flushSync?.()
  }
}

function defaultFormat(destination: LogOptions['destination']): 'json' | 'pretty' {
  return destination === undefined && process.stdout.isTTY ? 'pretty' : 'json'
}

function wantsColors(): boolean {
  return process.stdout.isTTY && (process.env.NO_COLOR ?? '') === ''
}

function prettyDestination(destination: Destination, colors: boolean): Destination {
  const prettify = createPrettify(colors)
  return { write: line => destination.write(prettify(line)) }
}
