import { type Command, InvalidArgumentError, Option } from 'commander'
import { parseDuration } from '../api/units.ts'
import { MAX_CONNECTIONS, MAX_DURATION_MS, MAX_RATE } from '../load/scenario.ts'
import type { BenchFlags } from './bench/bench.ts'
import { collect } from './option-values.ts'

const EXAMPLES = `
Without --rate each connection asks again as soon as it has its answer (closed loop). With it, requests are sent when
they are due, whatever the answers do, and latencies count from then (open loop).
Only targets on this machine or in a private network are taken, unless you say that the target is yours.
Exit codes: 0 all requests succeeded, 1 some failed, 2 the command line or a file is wrong.

Examples:
  sluice bench http://127.0.0.1:8080/mcp --tool echo --args '{"text":"hi"}'
  sluice bench http://127.0.0.1:8080/servers/github/mcp --scenario load.yaml --rate 200 --duration 1m
  sluice bench http://127.0.0.1:8080/mcp --json through.json --html through.html
  sluice bench --compare direct.json through.json`

/** `sluice bench`. */
export function addBench(root: Command): void {
  root
    .command('bench')
    .summary('load-test an MCP endpoint')
    .description('Puts an MCP endpoint under load, with or without Sluice in front of it, and tells what it took.')
    .argument('[url]', 'Streamable HTTP endpoint')
    .option('--scenario <file>', 'what to ask for, and how (see docs/benchmarking.md)')
    .option('--tool <name>', 'call this tool; without it and --scenario: tools/list')
    .option('--args <json>', 'its arguments, a JSON object')
    .addOption(new Option('--era <era>', 'of the protocol').choices(['auto', 'modern', 'legacy']))
    .option('--connections <number>', 'connections (default 16)', upTo(MAX_CONNECTIONS))
    .option('--rate <number>', 'requests per second; default: as fast as answers come', rate)
    .option('--duration <time>', 'how long to count, such as 30s or 5m (default 30s)', time)
    .option('--warm-up <time>', 'how long to run before (default 2s)', time)
    .option('--sessions <number>', 'sessions of a legacy server (default 1)', upTo(MAX_CONNECTIONS))
    .option('--idle-streams <number>', 'streams held open beside the calls (default 0)', upTo(MAX_CONNECTIONS))
    .option('--header <line>', 'header field for every request, "Name: value"; repeatable', collect, [])
    .option('--json <file>', 'write the result as JSON; - = to standard output')
    .option('--html <file>', 'write a report that a browser opens')
    .option('--compare <files...>', 'compare two results that --json wrote')
    .option('--i-own-this-target', 'the target is yours although it is neither loopback nor private')
    .addHelpText('after', EXAMPLES)
    .action(async (url: string | undefined, flags: BenchFlags) => {
      const { bench } = await import('./bench/bench.ts')
      process.exitCode = await bench(url, flags)
    })
}

function upTo(most: number): (text: string) => number {
  return text => {
    const number = Number(text)
    if (/^\d{1,6}$/.test(text) && number <= most) return number
    throw new InvalidArgumentError(`Expected a whole number up to ${most}.`)
  }
}

function rate(text: string): number {
  const number = Number(text)
  if (text.trim() !== '' && number > 0 && number <= MAX_RATE) return number
  throw new InvalidArgumentError(`Expected requests per second, more than 0 and at most ${MAX_RATE}.`)
}

function time(text: string): number {
  const duration = parseDuration(text)
  if (duration !== null && duration <= MAX_DURATION_MS) return duration
  throw new InvalidArgumentError('Expected a time such as 500ms, 30s or 5m, at most a day.')
}
