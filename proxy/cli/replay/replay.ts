import { resolve } from 'node:path'
import { defaultConfig } from '../../config/config.ts'
import { loadConfig } from '../../config/load.ts'
import type { PolicyInput } from '../../policy/compile.ts'
import { type Comparison, compare } from '../../shadow/compare.ts'
import type { CorpusExchange } from '../../shadow/corpus.ts'
import { compareWithCorpus, recordingOf } from '../../shadow/from-corpus.ts'
import type { Recording } from '../../shadow/recording.ts'
import { loadRegistry } from '../compile-once.ts'
import { FAILED, OK } from '../failure.ts'
import { UsageError } from '../usage-error.ts'
import { AllowedChanges, writeAllowed } from './allowed-changes.ts'
import { ChainRun } from './chain-run.ts'
import { type Corpus, readCorpus } from './corpus-file.ts'
import { type Finding, Findings } from './findings.ts'
import { textReport } from './report.ts'

export interface ReplayFlags {
  readonly policy: readonly string[]
  readonly against: readonly string[]
  readonly config?: string
  readonly interceptors: readonly string[]
  readonly keyFile?: string
  readonly allowChanges?: string
  readonly update?: boolean
  readonly expect?: number
  readonly strict?: boolean
  readonly json?: boolean
}

/** What a first look at a corpus tells. */
interface Facts {
  readonly servers: readonly string[]
  readonly beganAt: number
}

/** `sluice replay`: the report on standard output. Gives the exit code. */
export async function replay(file: string, flags: ReplayFlags, out: (text: string) => void): Promise<number> {
  checkFlags(flags)
  const keyFile = flags.keyFile ?? ''
  const allowed = flags.allowChanges === undefined ? AllowedChanges.none() : readAllowed(flags.allowChanges, flags)
  const facts = await factsOf(await readCorpus(file, keyFile), file)
  const chain = await openChain(flags.policy, flags, facts)
  try {
    const against = flags.against.length === 0 ? null : await openChain(flags.against, flags, facts)
    try {
      const corpus = await readCorpus(file, keyFile)
      const findings = await runAll(corpus, chain, against)
      return report(file, corpus, findings, allowed, flags, out)
    } finally {
      await against?.close()
    }
  } finally {
    await chain.close()
  }
}

function checkFlags({ policy, config, allowChanges, update, expect }: ReplayFlags): void {
  if (policy.length === 0 && config === undefined) {
    throw new UsageError('no policy: give --policy FILE, or a configuration that has one by -c FILE')
  }
  if (allowChanges !== undefined && expect !== undefined) {
    throw new UsageError('--allow-changes says which changes are expected, --expect how many: give one of the two')
  }
  if (update === true && allowChanges === undefined) {
    throw new UsageError('--update writes the file of --allow-changes FILE: give that too')
  }
}

function readAllowed(file: string, { update }: ReplayFlags): AllowedChanges {
  return AllowedChanges.read(file, update ?? false)
}

async function factsOf(corpus: Corpus, file: string): Promise<Facts> {
  const servers = new Set<string>()
  let beganAt = Number.POSITIVE_INFINITY
  for await (const { exchange } of corpus.exchanges()) {
    servers.add(exchange.server)
    beganAt = Math.min(beganAt, exchange.at)
  }
  if (servers.size === 0) throw new UsageError(`${file}: there is no exchange in it`)
  return { servers: [...servers], beganAt }
}

async function openChain(policies: readonly string[], flags: ReplayFlags, facts: Facts): Promise<ChainRun> {
  const config =
    flags.config === undefined ? defaultConfig() : loadConfig(flags.config, { env: process.env, allowNoServers: true })
  const isOwn = policies.length > 0
  const servers = new Set([...config.servers.map(({ name }) => name), ...facts.servers])
  const interceptorDirs = [...config.interceptorDirs, ...flags.interceptors.map(path => resolve(path))]
  const input: Omit<PolicyInput, 'services' | 'strict' | 'generation'> = {
    files: isOwn ? policies.map(path => resolve(path)) : config.policies,
    inline: isOwn ? [] : config.inlinePolicies,
    servers: [...servers],
    registry: await loadRegistry({ ...config, interceptorDirs }),
    env: process.env,
  }
  return ChainRun.open(input, facts.beganAt)
}

async function runAll(corpus: Corpus, chain: ChainRun, against: ChainRun | null): Promise<Findings> {
  const findings = new Findings()
  for await (const { line, exchange } of corpus.exchanges()) {
    findings.exchanges++
    try {
      await runOne(findings, chain, against, exchange, line)
    } catch (error) {
      findings.skip(`it could not be run: ${(error as Error).message}`)
    }
  }
  return findings
}

async function runOne(
  findings: Findings,
  chain: ChainRun,
  against: ChainRun | null,
  exchange: CorpusExchange,
  line: number,
): Promise<void> {
  const recording = recordingOf(exchange)
  const readers = exchange.redacted === 0 ? [] : readersOf(recording, chain, against)
  findings.reads(readers)
  const { outcome, why, changes } = await comparisonOf(exchange, recording, chain, against)
  if (outcome === 'skipped') findings.skip(why)
  let isChanged = false
  for (const change of changes) {
    // An edit that does happen happens; that one does not, or a refusal, may be due to what is not there.
    const isCertain = change.what === 'request' || change.what === 'answer' || !isGuess(change.entries, readers)
    findings.add(change, recording, line, isCertain)
    isChanged ||= isCertain
  }
  if (isChanged) findings.changed++
  else if (changes.length > 0) findings.undecided++
}

async function comparisonOf(
  exchange: CorpusExchange,
  recording: Recording,
  chain: ChainRun,
  against: ChainRun | null,
): Promise<Comparison> {
  // Both see everything in order, whatever is compared: limits and caches count on it.
  const first = await against?.run(recording)
  const second = await chain.run(recording)
  if (first === undefined) return compareWithCorpus(exchange, recording, second)
  if (first.asked) return { outcome: 'skipped', why: 'an interceptor wanted to ask the server', changes: [] }
  return compare(first.recording, second, first.lacksAnswer)
}

function readersOf(recording: Recording, chain: ChainRun, against: ChainRun | null): string[] {
  return [...new Set([...chain.readers(recording), ...(against?.readers(recording) ?? [])])]
}

function isGuess(entries: readonly string[], readers: readonly string[]): boolean {
  return entries.length > 0 && entries.every(entry => readers.includes(entry))
}

function report(
  file: string,
  { head }: Corpus,
  findings: Findings,
  allowed: AllowedChanges,
  flags: ReplayFlags,
  out: (text: string) => void,
): number {
  const { strict = false, json = false, update = false, allowChanges = '', expect } = flags
  const found = [...findings.changes.values(), ...(strict ? findings.guesses.values() : [])]
  if (update) writeAllowed(allowChanges, found)
  const unexpected: Finding[] = update ? [] : found.filter(finding => !allowed.allows(finding))
  const against = flags.against.length === 0 ? 'what happened then' : flags.against.join(', ')
  const unused = update ? [] : allowed.unused(found)
  if (json) out(`${JSON.stringify({ corpus: file, values: head.values, against, ...findings.json(unexpected) })}\n`)
  else out(textReport(findings, { corpus: file, values: head.values, against, unexpected, unused }))
  if (expect === undefined) return unexpected.length > 0 ? FAILED : OK
  const changed = findings.changed + (strict ? findings.undecided : 0)
  if (changed !== expect && !json) out(`expected ${expect} to change\n`)
  return changed === expect ? OK : FAILED
}
