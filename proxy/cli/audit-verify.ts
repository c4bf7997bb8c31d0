import type { Verifier } from '../../interceptors/audit/verify.ts'
import { verifyFiles } from '../../interceptors/audit/verify-files.ts'
import { printable } from './audit-table.ts'
import { count, FAILED, OK } from './failure.ts'
import { UsageError } from './usage-error.ts'

export interface VerifyFlags {
  readonly keyEnv: readonly string[]
  readonly rotated: boolean
  /** `SEQ:HASH` each. */
  readonly expect: readonly string[]
  readonly json?: boolean
}

/**
 * `sluice audit verify`: what is wrong, a line each, and what was read.
 * @returns the exit code: 0 = nothing is wrong, 1 = something is
 * @throws UsageError (exit code 2) when the files or the key cannot be read
 */
export async function auditVerify(
  files: readonly string[],
  flags: VerifyFlags,
  env: NodeJS.ProcessEnv,
  out: (text: string) => void,
): Promise<number> {
  const keys = flags.keyEnv.map(name => keyOf(name, env))
  const expected = flags.expect.map(expectedLine)
  let verifier: Verifier
  try {
    verifier = await verifyFiles(files, { keys, rotated: flags.rotated, expected })
  } catch (error) {
    throw new UsageError(`audit verify: ${error instanceof Error ? error.message : String(error)}`)
  }
  out(flags.json === true ? `${JSON.stringify(asJson(verifier))}\n` : asText(verifier))
  return verifier.problemCount === 0 ? OK : FAILED
}

function keyOf(name: string, env: NodeJS.ProcessEnv): string {
  const key = env[name]
  if (key === undefined || key === '') throw new UsageError(`--key-env: the environment has no ${name}`)
  return key
}

function expectedLine(text: string): { seq: number; hash: string } {
  const match = /^([1-9]\d{0,15}):([0-9a-fA-F]{64})$/.exec(text)
  if (match === null) {
    throw new UsageError(
      `--expect ${text}: expected SEQ:HASH, such as 17: and 64 hexadecimal digits, as "verify" prints them`,
    )
  }
  return { seq: Number(match[1]), hash: (match[2] as string).toLowerCase() }
}

function asJson(verifier: Verifier): object {
  const { problems, problemCount, notes, lines } = verifier
  return { ok: problemCount === 0, lines, problem_count: problemCount, problems, notes, chains: verifier.summary() }
}

function asText(verifier: Verifier): string {
  const { problems, problemCount, notes, lines } = verifier
  const rows = problems.map(({ file, line, seq, text }) => {
    const place = line === 0 ? file : `${file}:${line}`
    return `${place}: ${seq === 0 ? '' : `seq ${seq}: `}${text}`
  })
  if (problemCount > problems.length) rows.push(`and ${count(problemCount - problems.length, 'more problem')}`)
  for (const note of notes) rows.push(`note: ${note}`)
  for (const { chain, first, last, hash } of verifier.summary()) {
    rows.push(`chain ${chain || '?'}: seq ${first} to ${last}, last hash ${hash}`)
  }
  const end = problemCount === 0 ? 'nothing is wrong' : count(problemCount, 'problem')
  rows.push(`${count(lines, 'line')}: ${end}`)
  return `${rows.map(printable).join('\n')}\n`
}
