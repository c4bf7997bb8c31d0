import { type Command, InvalidArgumentError } from 'commander'
import { parseDuration } from '../api/units.ts'
import { collect } from './option-values.ts'

const EXAMPLES = `
Examples:
  sluice audit verify logs/audit.log                       and what was rotated away from it
  sluice audit verify logs/audit.*.log --key-env AUDIT_KEY
  sluice audit verify logs/audit.log --expect 4711:9f86d0…  that line is still there
  sluice audit tail -f logs/audit.log
  sluice audit query logs/audit.log --client agent --status denied --since 1h
  sluice audit query logs/audit*.log --tool 'get_*' --json`

/** `sluice audit verify|tail|query`. */
export function addAudit(root: Command): void {
  const audit = root
    .command('audit')
    .summary('verify and read audit files')
    .description('Verifies the chain of audit files, and shows their lines.')
    .addHelpText('after', EXAMPLES)
  addVerify(audit)
  addTail(audit)
  addQuery(audit)
  for (const command of audit.commands) command.exitOverride()
}

function addVerify(audit: Command): void {
  audit
    .command('verify')
    .description(
      'Tells whether lines were changed, removed, added or moved. Exit code 1 = they were, 2 = it cannot tell.',
    )
    .argument('<file...>', 'audit files, in any order; .gz too')
    .option(
      '--key-env <name>',
      'environment variable that holds the chain_key; repeatable, after a change of keys',
      collect,
      [],
    )
    .option(
      '--expect <seq:hash>',
      'a line that must be there, as "verify" printed it earlier: then what was cut off at the end shows; repeatable',
      collect,
      [],
    )
    .option('--no-rotated', 'only the files named, not what was rotated away from them')
    .option('--json', 'as JSON')
    .action(async (files: string[], flags: import('./audit-verify.ts').VerifyFlags) => {
      const { auditVerify } = await import('./audit-verify.ts')
      process.exitCode = await auditVerify(files, flags, process.env, text => process.stdout.write(text))
    })
}

function addTail(audit: Command): void {
  audit
    .command('tail')
    .description('Shows the last lines of an audit file.')
    .argument('<file>', 'audit file')
    .option('-f, --follow', 'go on as lines come, also when the file is rotated')
    .option('-n, --lines <number>', 'how many (default 10)', wholeNumber, 10)
    .option('--json', 'the lines as they are')
    .action(async (file: string, flags: import('./audit-tail.ts').TailFlags) => {
      const { auditTail } = await import('./audit-tail.ts')
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      await auditTail(file, flags, process.stdout, stop.signal)
    })
}

function addQuery(audit: Command): void {
  audit
    .command('query')
    .description('Shows the lines of audit files that fit all that is asked for. Names may be globs.')
    .argument('<file...>', 'audit files, in the order to read them; .gz too')
    .option('--client <glob>', 'client; repeatable, as are the next ones: any of them', collect, [])
    .option('--server <glob>', 'server', collect, [])
    .option('--tool <glob>', 'tool, or what another method names', collect, [])
    .option('--status <status>', 'ok, replied, dropped, tool_error, error, denied, aborted or failed', collect, [])
    .option('--code <glob>', 'error code, such as access_denied', collect, [])
    .option('--since <time>', '2026-11-21T10:00:00Z, 2026-11-21, or how long ago: 15m, 1d', moment)
    .option('--until <time>', 'the same; lines of this very moment are left out', moment)
    .option('--limit <number>', 'stop after so many', wholeNumber)
    .option('--json', 'the lines as they are')
    .action(async (files: string[], flags: import('./audit-query.ts').QueryFlags) => {
      const { auditQuery } = await import('./audit-query.ts')
      await auditQuery(files, flags, process.stdout)
    })
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 1.')
  return Number(text)
}

/** Milliseconds since the epoch. */
function moment(text: string): number {
  const ago = /[a-z]$/.test(text) ? parseDuration(text) : null
  if (ago !== null) return Date.now() - ago
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN
  if (Number.isNaN(time))
    throw new InvalidArgumentError('Expected a time like 2026-11-21T10:00:00Z, or 15m, 1d = so long ago.')
  return time
}
