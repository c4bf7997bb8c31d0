import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseByteSize, parseDuration } from '../api/units.ts'
import { collect } from './option-values.ts'

const CAPTURE_EXAMPLES = `
Values are redacted unless told otherwise: texts become placeholders of the same length, and what is hidden stays so.
Ctrl-C ends it; what was captured by then is kept.

Examples:
  sluice capture -c sluice.yaml --out corpus.jsonl
  sluice capture -c sluice.yaml --out corpus.jsonl --for 1h --sample 10% --tool 'delete_*'
  sluice capture -c sluice.yaml --out corpus.jsonl --values encrypted --key-file corpus.key`

const REPLAY_EXAMPLES = `
Exit codes: 0 nothing would change, or only what was allowed to; 1 something else would; 2 a file or the command line is wrong.

Examples:
  sluice replay corpus.jsonl --policy new.yaml                          against what happened then
  sluice replay corpus.jsonl --policy new.yaml --against old.yaml       one policy against another
  sluice replay corpus.jsonl --policy new.yaml --allow-changes expected.yaml
  sluice replay corpus.jsonl --policy new.yaml --allow-changes expected.yaml --update`

/** `sluice capture` and `sluice replay`. */
export function addTraffic(root: Command): void {
  addCapture(root)
  addReplay(root)
}

function addCapture(root: Command): void {
  root
    .command('capture')
    .summary('record what passes through a running proxy')
    .description('Records exchanges of a running proxy into a corpus, for `sluice replay`.')
    .requiredOption('--out <file>', 'file to write; it must not be there')
    .option('-c, --config <file>', 'configuration of the running proxy (default ./sluice.yaml, if there is one)')
    .option('--socket <path>', 'its control socket, in place of what the configuration says')
    .option('--for <duration>', 'how long (default 10m)', span, 600_000)
    .option('--max <number>', 'most exchanges (default 1000)', wholeNumber, 1000)
    .option('--max-bytes <size>', 'most bytes (default 256MiB)', size, 256 * 1024 * 1024)
    .option('--sample <percent>', 'share of the exchanges (default 100%)', share, 100)
    .option('--server <glob>', 'only these servers; repeatable', collect, [])
    .option('--tool <glob>', 'only calls of these tools; repeatable', collect, [])
    .addOption(
      new Option('--values <how>', 'what becomes of values')
        .choices(['redacted', 'hashed', 'encrypted'])
        .default('redacted'),
    )
    .option('--key-file <file>', 'for encrypted: file with a key of 64 hexadecimal digits, mode 0600')
    .addHelpText('after', CAPTURE_EXAMPLES)
    .action(async (flags: import('./capture.ts').CaptureFlags) => {
      const { capture } = await import('./capture.ts')
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort())
      process.exitCode = await capture(flags, stop.signal, text => process.stderr.write(text))
    })
}

function addReplay(root: Command): void {
  root
    .command('replay')
    .summary('show what another policy would do with recorded traffic')
    .description('Runs the exchanges of a corpus through a policy, and tells by rule and tool what would change.')
    .argument('<corpus>', 'file that `sluice capture` has written')
    .option('--policy <file>', 'the policy; repeatable, as one chain', collect, [])
    .option('--against <file>', 'compare with this policy, not with what happened then; repeatable', collect, [])
    .option('-c, --config <file>', 'configuration: its interceptors, and its policy where --policy names none')
    .option('--interceptors <dir>', 'folder of your own interceptors; repeatable', collect, [])
    .option('--key-file <file>', 'key of an encrypted corpus')
    .option('--allow-changes <file>', 'changes that are expected; others are an error')
    .option('--update', 'write the changes found into the file of --allow-changes')
    .option('--expect <number>', 'how many exchanges may change: neither more nor fewer', wholeOrZero)
    .option('--strict', 'what cannot be decided on redacted values counts as a change')
    .option('--json', 'as JSON')
    .addHelpText('after', REPLAY_EXAMPLES)
    .action(async (corpus: string, flags: import('./replay/replay.ts').ReplayFlags) => {
      const { replay } = await import('./replay/replay.ts')
      process.exitCode = await replay(corpus, flags, text => process.stdout.write(text))
    })
}

function span(text: string): number {
  const ms = parseDuration(text)
  if (ms === null || ms === 0) throw new InvalidArgumentError('Expected a duration such as 30s, 10m or 1h.')
  return ms
}

function size(text: string): number {
  const bytes = parseByteSize(text)
  if (bytes === null || bytes === 0) throw new InvalidArgumentError('Expected a size such as 64MiB.')
  return bytes
}

function share(text: string): number {
  const number = Number(/^(\d+(?:\.\d+)?)%?$/.exec(text)?.[1])
  if (!(number > 0 && number <= 100)) throw new InvalidArgumentError('Expected a percentage such as 10%.')
  return number
}

function wholeNumber(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 1.')
  return Number(text)
}

function wholeOrZero(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 0.')
  return Number(text)
}
