import { readFileSync } from 'node:fs'
import { formatDiagnostic, LoadError } from '../../base/diagnostic.ts'
import type { Config } from '../../config/config.ts'
import { compileOnce } from '../compile-once.ts'
import { ControlClient } from '../control-client.ts'
import { count, FAILED, OK } from '../failure.ts'
import { configOrDefault } from '../settings.ts'
import { checkCertificate } from './certificate.ts'
import { checkCredentials } from './credentials.ts'
import { checkFiles } from './files.ts'
import { type Finding, ok, problem, warning } from './finding.ts'
import { checkPorts } from './ports.ts'
import { checkEngine, checkJq, checkNode } from './programs.ts'
import { checkRedis } from './redis.ts'
import { checkServers, needsEngine } from './servers.ts'

export interface DoctorFlags {
  readonly config?: string
  readonly json?: boolean
}

const MARKS = { ok: 'ok', warning: 'warning', problem: 'PROBLEM' } as const

/** `sluice doctor`: looks at everything a start would need, and says what to do. Gives the exit code. */
export async function doctor(flags: DoctorFlags): Promise<number> {
  const findings = await examine(flags, process.env)
  process.stdout.write(flags.json === true ? `${JSON.stringify(findings, null, 2)}\n` : asText(findings))
  return findings.some(finding => finding.status === 'problem') ? FAILED : OK
}

async function examine(flags: DoctorFlags, env: NodeJS.ProcessEnv): Promise<Finding[]> {
  const found = [checkNode(process.version)]
  const config = loadable(flags, found)
  if (config === null) return found
  const policies = await checkPolicies(config)
  const running = await isRunning(flags)
  const later = await Promise.all([
    checkPorts(config, running),
    checkRedis(config.store),
    checkJq(env, policies.usesJq),
    checkEngine(config, env, config.servers.some(needsEngine)),
    checkServers(config.servers, env),
    checkCredentials(config),
  ])
  return [
    ...found,
    ...policies.findings,
    ok('instance', running ? 'a Sluice with this configuration runs now' : 'none runs with this configuration now'),
    ...checkFiles(config),
    ...checkCertificate(config.tls, Date.now()),
    ...later.flat(),
  ]
}

/** The configuration, or `null` with what is wrong in it among the findings. */
function loadable(flags: DoctorFlags, found: Finding[]): Config | null {
  try {
    const config = configOrDefault({ ...flags, interceptors: [] })
    const name = config.file === '' ? 'no file: every default holds' : config.file
    found.push(ok('configuration', name))
    found.push(...config.warnings.map(one => warning('configuration', formatDiagnostic(one), '')))
    return config
  } catch (error) {
    found.push(...problemsOf(error, 'configuration'))
    return null
  }
}

/** Compiles the policies, which also starts what entries need, and looks whether one of them is `jq`. */
async function checkPolicies(config: Config): Promise<{ findings: Finding[]; usesJq: boolean }> {
  const usesJq = config.policies.some(namesJq)
  try {
    const warnings = await compileOnce(config, false, policy => policy.warnings)
    const text = `${count(config.policies.length, 'file')}, ready to be used`
    return {
      findings: [ok('policies', text), ...warnings.map(one => warning('policies', formatDiagnostic(one), ''))],
      usesJq,
    }
  } catch (error) {
    return { findings: problemsOf(error, 'policies'), usesJq }
  }
}

function namesJq(file: string): boolean {
  try {
    return /\bjq\b/.test(readFileSync(file, 'utf8'))
  } catch {
    return false
  }
}

function problemsOf(error: unknown, what: string): Finding[] {
  if (!(error instanceof LoadError)) return [problem(what, (error as Error).message, '')]
  return error.diagnostics.map(one => problem(what, formatDiagnostic(one), ''))
}

/** Whether a proxy answers at the configuration's control socket. */
async function isRunning(flags: DoctorFlags): Promise<boolean> {
  try {
    await ControlClient.find(flags).ask({ path: '/' })
    return true
  } catch {
    return false
  }
}

function asText(findings: readonly Finding[]): string {
  const width = Math.max(...findings.map(({ what }) => what.length))
  const lines = findings.flatMap(({ what, status, text, advice }) => {
    const line = `${MARKS[status].padEnd(8)} ${what.padEnd(width)}  ${text}`
    return advice === '' ? [line] : [line, `${' '.repeat(8)} ${' '.repeat(width)}  → ${advice}`]
  })
  const problems = findings.filter(({ status }) => status === 'problem').length
  const warnings = findings.filter(({ status }) => status === 'warning').length
  return `${lines.join('\n')}\n\n${count(problems, 'problem')}, ${count(warnings, 'warning')}\n`
}
