import { formatDiagnostic, LoadError } from '../base/diagnostic.ts'
import { UsageError } from './usage-error.ts'

/** Everything went as asked. */
export const OK = 0
/** It could be started, and then it failed. */
export const FAILED = 1
/** The command line, the configuration or a policy is wrong. */
export const MISUSED = 2

/** Says on standard error what went wrong, where that was not said yet, and gives the exit code for it. */
export function exitCodeOf(error: unknown): number {
  if (isCommanderError(error)) return error.exitCode === 0 ? OK : MISUSED
  if (error instanceof LoadError) {
    process.stderr.write(`${loadErrorText(error)}\n`)
    return MISUSED
  }
  if (error instanceof UsageError) {
    process.stderr.write(`sluice: ${error.message}\n`)
    return MISUSED
  }
  process.stderr.write(`sluice: ${error instanceof Error ? error.message : String(error)}\n`)
  if (process.env.SLUICE_DEBUG && error instanceof Error) process.stderr.write(`${error.stack}\n`)
  return FAILED
}

/** Every problem on a line of its own, and how many there are. */
export function loadErrorText(error: LoadError): string {
  const lines = error.diagnostics.map(formatDiagnostic)
  return [...lines, count(lines.length, 'error')].join('\n')
}

/** `1 error`, `2 errors`. */
export function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`
}

/** The command line parser has said what is wrong by itself. By name: it is loaded only where it is needed. */
function isCommanderError(error: unknown): error is { exitCode: number } {
  return error instanceof Error && error.name.startsWith('Commander') && 'exitCode' in error
}
