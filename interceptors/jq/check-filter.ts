import { spawn } from 'node:child_process'
import { checkVersion } from './binary.ts'
import { type Limits, limitedCommand } from './limits.ts'
import { asArgument, joinFilters, VARIABLES, wrap } from './program.ts'

/** How long jq may take to say its version or to compile a filter. */
const CHECK_MS = 10_000
/** How much of what jq says is read. */
const MAX_SAID = 4096

/**
 * Compiles the filters and gives the program of the co-process. Each is compiled alone first: what is no filter by itself,
 * such as `1] } catch 9, {o: [2`, must not become one between our own brackets.
 * @throws Error with what jq says of the filter
 */
export async function compileFilters(binary: string, filters: readonly string[], limits: Limits): Promise<string> {
  checkVersion(binary, (await ask(binary, ['--version'], limits)).out)
  const variables = VARIABLES.flatMap(name => ['--arg', name, ''])
  for (const [index, filter] of filters.entries()) {
    const problem = (await ask(binary, [...variables, asArgument(filter)], limits)).problem
    if (problem !== null) throw new Error(`${filters.length === 1 ? 'filter' : `filter[${index}]`}: ${problem}`)
  }
  const program = wrap(joinFilters(filters))
  const { problem } = await ask(binary, ['-c', program], limits)
  if (problem !== null) throw new Error(`filter: cannot be used here (modules cannot be imported): ${problem}`)
  return program
}

interface Said {
  readonly out: string
  /** `null` = it ended well. */
  readonly problem: string | null
}

/** Runs jq once on no input at all: then it compiles its program and runs nothing. */
function ask(binary: string, args: readonly string[], limits: Limits): Promise<Said> {
  const { file, args: all, options } = limitedCommand(binary, args, limits)
  const child = spawn(file, all, {
    ...options,
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: CHECK_MS,
    killSignal: 'SIGKILL',
  })
  const said = { out: '', err: '' }
  for (const [stream, key] of [
    [child.stdout, 'out'],
    [child.stderr, 'err'],
  ] as const) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said[key] = (said[key] + text).slice(0, MAX_SAID)
    })
  }
  return new Promise(resolve => {
    child.once('error', error => resolve({ out: '', problem: `${file} does not start: ${error.message}` }))
    child.once('close', (code, signal) => {
      resolve({ out: said.out, problem: code === 0 ? null : problemOf(said.err, code, signal) })
    })
  })
}

function problemOf(text: string, code: number | null, signal: string | null): string {
  const lines = text.split('\n').filter(line => line !== '' && !/^jq: \d+ compile errors?$/.test(line))
  const said = lines
    .join('; ')
    .replaceAll(':; ', ': ')
    .replaceAll('jq: error: ', '')
    .replace(' (Unix shell quoting issues?)', '')
  if (said !== '') return said
  if (code === 126) return 'jq cannot be run under its limits (max_memory)'
  return signal === null ? `jq ended with code ${code}` : `jq was ended by ${signal}`
}
