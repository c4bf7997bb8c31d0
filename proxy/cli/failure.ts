import { formatDiagnostic, LoadError } from '../base/diagnostic.ts'
import { UsageError } from './usage-error.ts'

/** Everything went as asked. */
export const OK = 0
/** It could be started, and then it failed. */
export const FAILED = 1
/** The command line, the configuration or a policy is wrong. */
export const MISUSED = 2

/** What went wrong, for standard error; `''` where the command line parser has said it already. */
export function failureOf(error: unknown): { text: string; exitCode: number } {
  if (isCommanderError(error)) return { text: '', exitCode: error.exitCode === 0 ? OK : MISUSED }
  if (error instanceof LoadError) return { text: loadErrorText(error), exitCode: MISUSED }
  if (error instanceof UsageError) return { text: `sluice: ${error.message}`, exitCode: MISUSED }
  if (error instanceof ReportedError) return { text: error.message, exitCode: error.exitCode }
  const text = `sluice: ${error instanceof Error ? error.message : String(error)}`
  const stack = process.env.SLUICE_DEBUG && error instanceof Error ? `\n${error.stack}` : ''
  return { text: text + stack, exitCode: FAILED }
}

/** Says on standard error what went wrong, and gives the exit code for it. */
export function exitCodeOf(error: unknown): number {
  const { text, exitCode } = failureOf(error)
  if (text !== '') process.stderr.write(`${text}\n`)
  return exitCode
}

/** A failure that another process has put into words. */
export class ReportedError extends Error {
  readonly exitCode: number

  constructor(text: string, exitCode: number) {
    super(text)
    this.name = 'ReportedError'
    this.exitCode = exitCode
  }
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
