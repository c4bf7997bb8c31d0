import { resolve } from 'node:path'
import { type Diagnostic, formatDiagnostic, LoadError } from '../base/diagnostic.ts'
import { readYaml } from '../base/read-yaml.ts'
import { type Config, defaultConfig } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { configSchema } from '../config/schema.ts'
import { policySchema } from '../policy/schema.ts'
import { type CompileInput, compileOnce } from './compile-once.ts'
import { count, MISUSED, OK } from './failure.ts'

export interface CheckFlags {
  readonly interceptors: readonly string[]
  readonly strict?: boolean
}

/** What was found in all files, and in how many. */
interface Findings {
  readonly diagnostics: Diagnostic[]
  files: number
}

/** `sluice check FILE…`: every problem on standard output, then one line of summary. Gives the exit code. */
export async function check(files: readonly string[], flags: CheckFlags): Promise<number> {
  const findings: Findings = { diagnostics: [], files: 0 }
  const paths = files.map(file => resolve(file))
  const configs = paths.filter(isConfig)
  const loaded = configs.flatMap(file => checkConfig(file, findings))
  for (const config of loaded) await checkPolicies(config, flags, findings)
  for (const config of loaded) {
    if (config.shadow === null) continue
    await checkPolicies({ ...config, policies: config.shadow.policies, inlinePolicies: [] }, flags, findings)
  }
  // A policy that a checked configuration names has been checked with the servers it is for.
  const named = new Set(loaded.flatMap(config => [...config.policies, ...(config.shadow?.policies ?? [])]))
  const servers = loaded.flatMap(config => config.servers)
  for (const file of paths.filter(path => !configs.includes(path) && !named.has(path))) {
    await checkPolicies({ ...defaultConfig(), servers, policies: [file] }, flags, findings)
  }
  return summarise(findings, flags.strict ?? false)
}

/** Whether a file has a key that only a configuration can have; what cannot be read is taken for a policy. */
export function isConfig(file: string): boolean {
  const { value } = readYaml(file, process.env)
  if (typeof value !== 'object' || value === null) return false
  return Object.keys(value).some(key => key in configSchema.shape && !(key in policySchema.shape))
}

function checkConfig(file: string, findings: Findings): Config[] {
  findings.files++
  try {
    const config = loadConfig(file, { env: process.env })
    findings.diagnostics.push(...config.warnings)
    return [config]
  } catch (error) {
    findings.diagnostics.push(...diagnosticsOf(error))
    return []
  }
}

async function checkPolicies(config: CompileInput, flags: CheckFlags, findings: Findings): Promise<void> {
  const interceptorDirs = [...config.interceptorDirs, ...flags.interceptors.map(path => resolve(path))]
  findings.files += config.policies.length
  try {
    const warnings = await compileOnce({ ...config, interceptorDirs }, false, policy => policy.warnings)
    findings.diagnostics.push(...warnings)
  } catch (error) {
    findings.diagnostics.push(...diagnosticsOf(error))
  }
}

/** @throws what is no problem of a file */
function diagnosticsOf(error: unknown): readonly Diagnostic[] {
  if (error instanceof LoadError) return error.diagnostics
  throw error
}

function summarise({ diagnostics, files }: Findings, strict: boolean): number {
  // Two configurations may name one policy: what is wrong in it is said once.
  const lines = new Set(diagnostics.map(formatDiagnostic))
  for (const line of lines) process.stdout.write(`${line}\n`)
  const errors = new Set(diagnostics.filter(isError).map(formatDiagnostic)).size
  const warnings = lines.size - errors
  const failed = errors > 0 || (strict && warnings > 0)
  const found = lines.size === 0 ? 'no problems' : `${count(errors, 'error')}, ${count(warnings, 'warning')}`
  process.stdout.write(`${count(files, 'file')} checked: ${found}\n`)
  return failed ? MISUSED : OK
}

function isError(diagnostic: Diagnostic): boolean {
  return diagnostic.severity === 'error'
}
