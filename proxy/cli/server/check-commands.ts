import type { Config, ServerConfig } from '../../config/config.ts'
import type { Log } from '../../observe/log.ts'
import { findProgram } from '../find-program.ts'
import type { Settings } from '../settings.ts'
import { UsageError } from '../usage-error.ts'

/**
 * Looks before anything starts whether the programs of servers are there. What the command line names must be; of others the
 * log is told, as they may never be asked for.
 * @throws UsageError for the command behind `--`
 */
export function checkCommands({ servers }: Config, { command, name }: Settings, log: Log): void {
  for (const server of servers) {
    const problem = problemOf(server)
    if (problem === '') continue
    if (command.length > 0 && server.name === name) throw new UsageError(problem)
    log.warn({ server: server.name }, problem)
  }
}

function problemOf({ source }: ServerConfig): string {
  if (source.kind !== 'process') return ''
  const [program = ''] = source.command
  if (findProgram(program, source.cwd, source.env['PATH'] ?? process.env['PATH'] ?? '') !== null) return ''
  // The usual slip: a whole command line as one word.
  const slip = program.includes(' ') ? `; give the program and its arguments as words of their own` : ''
  return `there is no program "${program}"${program.includes('/') ? '' : ' on the PATH'}${slip}`
}
