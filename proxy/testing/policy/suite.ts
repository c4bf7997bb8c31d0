import { dirname, resolve } from 'node:path'
import { type Diagnostic, LoadError } from '../../base/diagnostic.ts'
import { suggestion } from '../../base/suggest.ts'
import type { Path, YamlSource } from '../../base/yaml-source.ts'
import { mergeGiven, type RawGiven, type RawStep, type RawTest } from '../../policy/test-schema.ts'
import { Coverage, watchedRegistry } from './coverage.ts'
import { describe, judge } from './expect.ts'
import { givenMessage } from './given.ts'
import { expectationProblem } from './match-value.ts'
import { Rehearsal, type RehearsalInput } from './rehearsal.ts'
import { expandRepeats } from './repeat.ts'

/** The tests of one file. */
export interface TestSource {
  readonly source: YamlSource
  readonly tests: readonly RawTest[]
}

/** One policy with the tests that are about it. */
export interface Suite extends RehearsalInput {
  /** For people: the file, as they named it. */
  readonly label: string
  readonly sources: readonly TestSource[]
}

/** How a test differs from what was expected, in one place of a file. */
export interface Difference {
  /** Its text: the path below the test. */
  readonly place: Diagnostic
  readonly expected: string
  readonly actual: string
}

export interface TestResult {
  readonly name: string
  readonly place: Diagnostic
  readonly ok: boolean
  readonly differences: readonly Difference[]
  /** What helps to see why: what happened, and what the proxy said about it. */
  readonly remarks: readonly string[]
  readonly durationMs: number
}

export interface SuiteResult {
  readonly label: string
  readonly results: readonly TestResult[]
  readonly coverage: Coverage
}

/** Where a message goes that a test names no server for, and none is configured. */
const DEFAULT_SERVER = 'default'

/** @throws LoadError when the policy does not compile, or a test makes no sense */
export async function runSuite(suite: Suite): Promise<SuiteResult> {
  const problems = suite.sources.flatMap(one => problemsOf(one, suite.servers))
  if (problems.length > 0) throw new LoadError(problems)
  const coverage = new Coverage(suite)
  const input = { ...suite, registry: watchedRegistry(suite.registry, entry => coverage.entry(entry)) }
  // A policy without tests must compile too.
  if (suite.sources.length === 0) await (await Rehearsal.open(input, undefined)).close()
  const results: TestResult[] = []
  for (const { source, tests } of suite.sources) {
    for (const [i, test] of tests.entries()) results.push(await runTest(input, coverage, source, test, i))
  }
  return { label: suite.label, results, coverage }
}

/** A step of a test, with where it stands in the file. */
interface Turn {
  readonly step: RawStep
  readonly when: RawGiven
  readonly path: Path
  /** For people; `''` where a test has no steps. */
  readonly label: string
}

function turnsOf(test: RawTest, index: number): Turn[] {
  const path = ['tests', index]
  // biome-ignore lint/suspicious/noThenProperty: a key of the file, and never a function
  if (test.then !== undefined) return [{ step: { then: test.then }, when: test.when, path, label: '' }]
  return (test.steps ?? []).map((step, i) => {
    const when = mergeGiven(test.when, step.when ?? {})
    return { step, when, path: [...path, 'steps', i], label: `step ${i + 1}` }
  })
}

async function runTest(
  input: RehearsalInput,
  coverage: Coverage,
  source: YamlSource,
  test: RawTest,
  index: number,
): Promise<TestResult> {
  const began = performance.now()
  const place = source.diagnostic(['tests', index, 'name'], test.name)
  const rehearsal = await Rehearsal.open(input, test.now)
  const seen: Seen = { differences: [], remarks: [] }
  try {
    for (const turn of turnsOf(test, index)) {
      await runTurn(rehearsal, coverage, source, turn, input.servers, seen)
      if (seen.differences.length > 0) break
    }
  } finally {
    await rehearsal.close()
  }
  const ok = seen.differences.length === 0
  return { name: test.name, place, ok, ...seen, durationMs: performance.now() - began }
}

interface Seen {
  readonly differences: Difference[]
  readonly remarks: string[]
}

async function runTurn(
  rehearsal: Rehearsal,
  coverage: Coverage,
  source: YamlSource,
  { step, when, path, label }: Turn,
  servers: readonly string[],
  seen: Seen,
): Promise<void> {
  if (step.now !== undefined) rehearsal.clock.set(step.now)
  if (step.after !== undefined) rehearsal.clock.advance(step.after)
  const baseDir = dirname(resolve(source.file))
  const times = step.times ?? 1
  for (let turn = 1; turn <= times; turn++) {
    const happened = await rehearsal.run(when, serverOf(when, servers), baseDir)
    coverage.client(when.client ?? 'anonymous')
    const wrong = judge(step.then, happened)
    if (wrong.length === 0) continue
    for (const { path: below, expected, actual } of wrong) {
      const then = [...path, 'then', ...below]
      seen.differences.push({ place: { ...source.diagnostic(then, ''), text: pathText(below) }, expected, actual })
    }
    const which = [label, times > 1 ? `time ${turn} of ${times}` : ''].filter(text => text !== '').join(', ')
    const what = describe(happened)
    if (which !== '' || wrong.every(({ actual }) => actual !== what)) {
      seen.remarks.push(which === '' ? what : `${which}: ${what}`)
    }
    seen.remarks.push(...happened.notices)
    return
  }
}

function pathText(below: Path): string {
  return ['then', ...below].reduce<string>((text, key) => {
    return typeof key === 'number' ? `${text}[${key}]` : text === '' ? key : `${text}.${key}`
  }, '')
}

function serverOf(when: RawGiven, servers: readonly string[]): string {
  return when.server ?? (servers.length === 1 ? (servers[0] as string) : DEFAULT_SERVER)
}

function messageFault(when: RawGiven, baseDir: string): string | null {
  try {
    givenMessage(when, baseDir)
    expandRepeats([when.result, when.events])
    return null
  } catch (error) {
    return (error as Error).message
  }
}

/** What the schema cannot see: servers that are not there, patterns that are none. */
function problemsOf({ source, tests }: TestSource, servers: readonly string[]): Diagnostic[] {
  return tests.flatMap((test, i) =>
    turnsOf(test, i).flatMap(({ step, when, path }) => {
      const found: Diagnostic[] = []
      const problem = expectationProblem(step.then)
      if (problem !== null) found.push(source.diagnostic([...path, 'then'], problem))
      const unsound = messageFault(when, dirname(resolve(source.file)))
      if (unsound !== null) found.push(source.diagnostic([...path, 'when'], unsound))
      if (when.server !== undefined && servers.length > 0 && !servers.includes(when.server)) {
        const text = `no such server${suggestion(when.server, servers, 'there are')}`
        found.push(source.diagnostic([...path, 'when', 'server'], text))
      }
      return found
    }),
  )
}
