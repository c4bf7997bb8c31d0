import type { LogLevel as ConfigLevel } from '../config/config.ts'
import type { LogLevel } from '../observe/log.ts'

export type { LogLevel }

export const LOG_LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error', 'silent']

/** The configuration knows two more levels than the log: nothing is ever logged at them. */
export function toLogLevel(level: ConfigLevel): LogLevel {
  if (level === 'trace') return 'debug'
  return level === 'fatal' ? 'error' : level
}
