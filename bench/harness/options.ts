import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { suggest } from '../../proxy/base/suggest.ts'
import { type BenchScenario, loadBenchScenario, SCENARIOS, scenarioNames } from './scenario.ts'

/** A mistake in the command line. */
export class OptionError extends Error {
  override readonly name = 'OptionError'
}

export interface BenchOptions {
  readonly scenario: BenchScenario
  readonly rounds: number
  readonly peers: boolean
  readonly peerFile: string
  /** Another checkout; `''` = none. */
  readonly before: string
  readonly only: readonly string[]
  /** Files; `''` = none. */
  readonly json: string
  readonly html: string
  readonly against: string
  readonly save: string
}

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const

/** `null` = help was asked for. @throws OptionError, LoadError */
export function readBenchOptions(args: readonly string[]): BenchOptions | null {
  const { values, positionals } = parse(args)
  const [name, ...rest] = positionals
  if (values.help === true || name === undefined) return null
  if (rest.length > 0) throw new OptionError(`one scenario at a time: leave out ${rest.join(' ')}`)
  const scenario = adapted(findScenario(name), values.quick === true, values.seconds)
  const standard = values.quick === true ? scenario.bench.quick.rounds : scenario.bench.rounds
  return {
    scenario,
    rounds: values.rounds === undefined ? standard : whole('rounds', values.rounds),
    peers: values.peers === true,
    peerFile: values['peer-file'] ?? '',
    before: values.before === undefined ? '' : resolve(values.before),
    only: values.only?.split(',') ?? [],
    json: values.json ?? '',
    html: values.html ?? '',
    against: values.against ?? '',
    save: values.save ?? '',
  }
}

function parse(args: readonly string[]) {
  const options = {
    help: { ...flag, short: 'h' },
    quick: flag,
    peers: flag,
    'peer-file': text,
    rounds: text,
    seconds: text,
    before: text,
    only: text,
    json: text,
    html: text,
    against: text,
    save: text,
  } as const
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new OptionError((error as Error).message)
  }
}

/** One of ours by its name, or a file. */
export function findScenario(name: string): BenchScenario {
  if (name.endsWith('.yaml') || name.endsWith('.yml')) return loadBenchScenario(resolve(name))
  const names = scenarioNames()
  if (names.includes(name)) return loadBenchScenario(join(SCENARIOS, `${basename(name)}.yaml`))
  const near = suggest(name, names)
  const guess = near === null ? '' : `, did you mean "${near}"?`
  throw new OptionError(`there is no scenario "${name}"${guess} (${names.join(', ')})`)
}

function adapted(scenario: BenchScenario, isQuick: boolean, seconds: string | undefined): BenchScenario {
  const quick = isQuick ? (scenario.bench.quick.duration ?? scenario.duration) : scenario.duration
  return { ...scenario, duration: seconds === undefined ? quick : whole('seconds', seconds) * 1000 }
}

function whole(name: string, given: string): number {
  const value = Number(given)
  if (Number.isInteger(value) && value >= 1) return value
  throw new OptionError(`--${name}: expected a whole number of at least 1, got "${given}"`)
}
