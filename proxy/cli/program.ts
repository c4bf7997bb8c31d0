import { Command, Option } from 'commander'
import { addAudit } from './audit.ts'
import { addBench } from './bench.ts'
import { addDoctor } from './doctor.ts'
import { collect, hostPort, hostPortOrOff, logLevel, percent, serverName, workers } from './option-values.ts'
import { addSecret } from './secret.ts'
import { addServer } from './server.ts'
import type { RunFlags } from './settings.ts'
import { addTools } from './tools.ts'
import { addTraffic } from './traffic.ts'
import { version } from './version.ts'

const INTRO = `Sluice stands in front of MCP servers: every JSON-RPC message, in both directions,
passes through an ordered chain of interceptors.`

const EXAMPLES = `
Examples:
  sluice run http://127.0.0.1:3001/mcp             in front of one server, nothing but pass-through
  sluice run -- npx -y some-server                 in front of a program that speaks over stdio
  sluice run -c sluice.yaml                        what the file says
  sluice run http://127.0.0.1:3001/mcp --policy policies/default.yaml
  sluice check sluice.yaml policies/*.yaml         what is wrong, with line and column
  sluice test policies/                            run the tests of policies
  sluice explain -c sluice.yaml --server github --method tools/call --name search --client agent
  sluice list                                      interceptors, and their options
  sluice key create claude-desktop                 an API key for a client
  sluice secret set github                         keeps a secret for a server
  sluice server status                             servers behind a running proxy, and their replicas
  sluice audit verify logs/audit.log               whether lines were changed or removed
  sluice capture -c sluice.yaml --out corpus.jsonl record traffic, without its values
  sluice replay corpus.jsonl --policy new.yaml     what another policy would do with it
  sluice doctor -c sluice.yaml                     what keeps it from working, and what to do
  sluice bench http://127.0.0.1:8080/mcp           how fast an endpoint is

Exit codes: 0 all well, 1 it failed while running, 2 the command line, configuration or a policy is wrong.
SIGINT and SIGTERM drain (a second one quits at once), SIGHUP reads policies and certificates again.`

const RUN_EXAMPLES = `
Clients connect to http://HOST:PORT/mcp (with one server) and http://HOST:PORT/servers/NAME/mcp.
Without -c and URL, ./sluice.yaml is used if there is one.

Examples:
  sluice run http://127.0.0.1:3001/mcp
  sluice run http://10.0.0.1:3001/mcp http://10.0.0.2:3001/mcp --name github     two replicas of one server
  sluice run -- npx -y @modelcontextprotocol/server-everything                   a server that speaks over stdio
  sluice run --from ~/.cursor/mcp.json                                           all servers of that file
  sluice run -c sluice.yaml --workers auto --listen 0.0.0.0:8080 --log-format json
  sluice run -c sluice.yaml --admin off`

const CHECK_EXAMPLES = `
Each file may be a configuration (sluice.yaml; the policies it names are checked too) or a policy.
Policies given beside a configuration are checked against its servers.

Examples:
  sluice check sluice.yaml
  sluice check policies/*.yaml --strict`

const TEST_EXAMPLES = `
Rules are the clients of access_control and the entries of the chain; one is exercised when a test made it run.
A configuration stands for all its policies as one chain.
Exit codes: 0 all as expected, 1 a test failed or too few rules were exercised, 2 a file or the command line is wrong.

Examples:
  sluice test policies/
  sluice test sluice.yaml --coverage-min 100
  sluice test policies/my-policy.yaml --watch
  sluice test policies/ --reporter junit > report.xml`

/** The whole command line. Each command's code is loaded when it runs. */
export function program(): Command {
  const root = new Command('sluice')
    .description(INTRO)
    .version(version(), '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', EXAMPLES)
    .showHelpAfterError('(sluice --help tells more)')
    .exitOverride()
  addRun(root)
  addCheck(root)
  addTest(root)
  addExplain(root)
  addList(root)
  addKey(root)
  addSchema(root)
  addAudit(root)
  addSecret(root)
  addServer(root)
  addTools(root)
  addTraffic(root)
  addBench(root)
  addDoctor(root)
  for (const command of root.commands) command.exitOverride()
  return root
}

function addRun(root: Command): void {
  root
    .command('run')
    .summary('start the proxy')
    .description('Starts the proxy in front of the servers of a configuration, of the URLs given, or of a command.')
    .argument('[url...]', 'Streamable HTTP endpoint of a server; several are replicas of one server')
    .usage('[options] [url...]\n       sluice run [options] -- <command> [argument...]')
    .option('-c, --config <file>', 'configuration file')
    .option('--from <file>', 'servers of a client: mcp.json, claude_desktop_config.json, settings.json')
    .option('--listen <host:port>', 'where clients connect (default 127.0.0.1:8080; port 0 = a free one)', hostPort)
    .option('--admin <host:port>', 'health and metrics, or "off" (default 127.0.0.1:8081)', hostPortOrOff)
    .option('--policy <file>', 'policy file, after those of the configuration; repeatable', collect, [])
    .option('--interceptors <dir>', 'folder of your own interceptors; repeatable', collect, [])
    .option('--workers <number>', 'worker processes, or "auto" = one for each CPU (default 1)', workers)
    .option('--name <name>', 'name of the server behind the URLs or the command (default "default")', serverName)
    .option('--log-level <level>', 'debug, info, warn, error or silent (default info)', logLevel)
    .addOption(
      new Option('--log-format <format>', 'default: pretty on a terminal, else json').choices(['json', 'pretty']),
    )
    .option('--forward-authorization', "pass the client's Authorization header on to the server of a URL")
    .option('--strict', 'treat warnings about policies and configuration as errors')
    .addOption(new Option('--demo', 'also start the demo server').hideHelp())
    .addHelpText('after', RUN_EXAMPLES)
    .action(async (operands: string[], flags: RunFlags) => {
      const { run } = await import('./run.ts')
      const behind = process.argv.includes('--') ? process.argv.length - process.argv.indexOf('--') - 1 : 0
      const split = operands.length - behind
      await run(operands.slice(0, split), flags, operands.slice(split))
    })
}

function addCheck(root: Command): void {
  root
    .command('check')
    .summary('check configuration and policy files')
    .description('Reads configuration and policy files and tells every problem, with line and column.')
    .argument('<file...>', 'files to check')
    .option('--interceptors <dir>', 'folder of your own interceptors; repeatable', collect, [])
    .option('--strict', 'treat warnings as errors')
    .addHelpText('after', CHECK_EXAMPLES)
    .action(async (files: string[], flags: { interceptors: string[]; strict?: boolean }) => {
      const { check } = await import('./check.ts')
      process.exitCode = await check(files, flags)
    })
}

function addTest(root: Command): void {
  root
    .command('test')
    .summary('run the tests of policies')
    .description('Runs the "tests:" of policy files, and those of NAME.test.yaml beside them, through the real chain.')
    .argument('<path...>', 'policies, configurations, test files, or folders of them')
    .option('--interceptors <dir>', 'folder of your own interceptors; repeatable', collect, [])
    .addOption(
      new Option('--reporter <name>', 'how results are told').choices(['spec', 'tap', 'junit']).default('spec'),
    )
    .option('--coverage-min <percent>', 'fail when less of the rules was exercised', percent, 0)
    .option('--watch', 'run again whenever a file changes')
    .addHelpText('after', TEST_EXAMPLES)
    .action(async (paths: string[], flags: import('./test/test.ts').TestFlags) => {
      const { test } = await import('./test/test.ts')
      process.exitCode = await test(paths, flags)
    })
}

function addExplain(root: Command): void {
  root
    .command('explain')
    .summary('show the chain that runs for a message')
    .description(
      'Shows which steps run for one kind of message, per direction, with what each one reads and its limits.',
    )
    .requiredOption('--server <name>', 'server the message goes to')
    .requiredOption('--method <method>', 'JSON-RPC method, such as tools/call')
    .option('--name <name>', 'tool, prompt or resource it names', '')
    .option('--client <name>', 'client it comes from', 'anonymous')
    .option('-c, --config <file>', 'configuration file (default ./sluice.yaml, if there is one)')
    .option('--policy <file>', 'policy file; repeatable', collect, [])
    .option('--interceptors <dir>', 'folder of your own interceptors; repeatable', collect, [])
    .action(async (flags: import('./explain.ts').ExplainFlags) => {
      const { explainChain } = await import('./explain.ts')
      process.stdout.write(await explainChain(flags))
    })
}

function addList(root: Command): void {
  root
    .command('list')
    .summary('list the interceptors that a policy can use')
    .description('Lists the interceptors found: where each comes from, what it reads, and its options.')
    .argument('[name]', 'only this one')
    .option('-c, --config <file>', 'configuration file (default ./sluice.yaml, if there is one)')
    .option('--interceptors <dir>', 'folder of your own interceptors; repeatable', collect, [])
    .option('--json', 'as JSON')
    .action(async (name: string | undefined, flags: import('./list.ts').ListFlags) => {
      const { list } = await import('./list.ts')
      process.stdout.write(await list(name ?? '', flags))
    })
}

function addKey(root: Command): void {
  const key = root.command('key').summary('make API keys').description('API keys of clients.')
  key
    .command('create')
    .description('Makes an API key. The key goes to standard output, what to do with it to standard error.')
    .argument('<client>', 'name of the client')
    .exitOverride()
    .action(async (client: string) => {
      const { keyCreate } = await import('./key.ts')
      keyCreate(
        client,
        text => process.stdout.write(text),
        text => process.stderr.write(text),
      )
    })
}

function addSchema(root: Command): void {
  root
    .command('schema')
    .summary('print the JSON Schema of a kind of file')
    .description('Prints a JSON Schema (draft 2020-12) for editors and CI.')
    .argument('<kind>', '"config" or "policy"')
    .option('--interceptors <dir>', 'folder of your own interceptors; repeatable', collect, [])
    .action(async (kind: string, flags: { interceptors: string[] }) => {
      const { schemaOf } = await import('./schema.ts')
      process.stdout.write(await schemaOf(kind, flags.interceptors))
    })
}
