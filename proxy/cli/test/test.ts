import { resolve } from 'node:path'
import { LoadError } from '../../base/diagnostic.ts'
import { Watcher } from '../../policy/watch.ts'
import { runSuite, type SuiteResult } from '../../testing/policy/suite.ts'
import { exitCodeOf, FAILED, MISUSED, OK } from '../failure.ts'
import { UsageError } from '../usage-error.ts'
import { type Found, findSuites } from './find-suites.ts'
import { junitReport, pathText, type Run, specReport, tapReport, totalsOf } from './report.ts'

export interface TestFlags {
  readonly interceptors: readonly string[]
  readonly reporter: 'spec' | 'tap' | 'junit'
  /** Of 100; 0 = any coverage will do. */
  readonly coverageMin: number
  readonly watch?: boolean
}

const REPORTS = { spec: specReport, tap: tapReport, junit: junitReport }

/** Quiet time after a change before tests run again, and how often files are compared without an event. */
const DEBOUNCE_MS = 100
const POLL_MS = 2000

/**
 * `sluice test PATH…`: the report on standard output. Gives the exit code: 0 = all as expected, 1 = not, 2 = files or
 * command line are wrong.
 */
export async function test(paths: readonly string[], flags: TestFlags): Promise<number> {
  if (flags.watch === true) return watch(paths, flags)
  return report(await findSuites(paths, flags.interceptors), flags)
}

async function report({ suites }: Found, flags: TestFlags): Promise<number> {
  const results: SuiteResult[] = []
  const problems: LoadError[] = []
  for (const suite of suites) {
    try {
      results.push(await runSuite(suite))
    } catch (error) {
      if (!(error instanceof LoadError)) throw error
      problems.push(error)
    }
  }
  if (problems.length > 0) throw new LoadError(problems.flatMap(problem => problem.diagnostics))
  const run: Run = { suites: results }
  const { tests, failed, coverage } = totalsOf(run)
  if (tests === 0) {
    const labels = suites.map(suite => suite.label).join(', ')
    throw new UsageError(`no tests in ${labels || 'these folders'}: write them under "tests:", or in NAME.test.yaml`)
  }
  process.stdout.write(REPORTS[flags.reporter](run))
  if (coverage < flags.coverageMin) {
    process.stderr.write(
      `sluice: coverage of ${coverage} % is less than the ${flags.coverageMin} % of --coverage-min\n`,
    )
    return FAILED
  }
  return failed > 0 ? FAILED : OK
}

/** Runs again whenever a file changes, until the process is told to end. */
async function watch(paths: readonly string[], flags: TestFlags): Promise<number> {
  const ended = Promise.withResolvers<number>()
  let running = false
  let again = false
  let code = OK
  const turn = async (): Promise<void> => {
    if (running) {
      again = true
      return
    }
    running = true
    do {
      again = false
      watcher.mark()
      code = await once(paths, flags, watcher)
    } while (again)
    running = false
  }
  const watcher = new Watcher({ debounceMs: DEBOUNCE_MS, pollMs: POLL_MS, changed: () => void turn() })
  // A watcher keeps no process alive, and this one is to stay.
  const alive = setInterval(() => {}, 60_000)
  const stop = (): void => ended.resolve(code)
  process.once('SIGINT', stop).once('SIGTERM', stop)
  await turn()
  await ended.promise
  clearInterval(alive)
  watcher.close()
  return code
}

/** One turn of `--watch`: what is wrong is said, and does not end it. */
async function once(paths: readonly string[], flags: TestFlags, watcher: Watcher): Promise<number> {
  let code = MISUSED
  try {
    const found = await findSuites(paths, flags.interceptors)
    watcher.look([...found.files, ...flags.interceptors])
    code = await report(found, flags)
  } catch (error) {
    // What cannot be read now may be mended next: the paths themselves are watched.
    watcher.look(error instanceof LoadError ? [...new Set(error.diagnostics.map(({ file }) => file))] : [...paths])
    code = exitCodeOf(error)
  }
  process.stdout.write(`watching ${paths.map(path => pathText(resolve(path)) || '.').join(', ')}\n`)
  return code
}
