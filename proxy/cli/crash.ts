import type { Log } from '../observe/log.ts'
import { FAILED } from './failure.ts'

/**
 * Ends the process after what nobody caught: the state of a program after that is unknown, and a proxy that decides
 * about rights must not guess. Whoever supervises the process starts it again.
 */
export function exitOnCrash(log: Log): void {
  const crash = (error: unknown, origin: string): void => {
    log.error({ error, origin }, 'something nobody caught: exiting')
    log.flush()
    process.exit(FAILED)
  }
  process.on('uncaughtException', crash)
}
