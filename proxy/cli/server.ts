import { type Command, InvalidArgumentError } from 'commander'
import { parseDuration } from '../api/units.ts'

const EXAMPLES = `
A running proxy is asked, by its control socket: the one of ./sluice.yaml, or of -c FILE, or --socket PATH.
Exit codes: 0 done, 1 no running proxy, or the server failed, or it took too long, 2 no such server, or it cannot be done.

Examples:
  sluice server ls                         all servers
  sluice server status                     all servers, with their replicas
  sluice server status kb --json
  sluice server logs kb --follow           what its replicas write
  sluice server restart kb                 replaces its replicas one by one, without dropping a call
  sluice server stop kb                    until "start"
  sluice server inspect kb                 what is configured, every default filled in`

type ServerFlags = import('./server/flags.ts').ServerFlags

/** `sluice server ls|status|logs|restart|stop|start|inspect`. */
export function addServer(root: Command): void {
  const server = root
    .command('server')
    .summary('see and steer the servers of a running proxy')
    .description('Shows the servers behind a running proxy and their replicas, and starts, stops or replaces them.')
    .addHelpText('after', EXAMPLES)
  addLs(server)
  addStatus(server)
  addLogs(server)
  addInspect(server)
  addAction(server, 'restart', 'Replaces the replicas of a server, one after the other. A failed server starts afresh.')
  addAction(server, 'stop', 'Ends the replicas of a server and starts none, until "start". Running calls may end.')
  addAction(server, 'start', 'Starts a server that was stopped, or has failed, or is idle.')
  for (const command of server.commands) command.exitOverride()
}

function addLs(server: Command): void {
  common(server.command('ls'))
    .alias('list')
    .description('Lists the servers.')
    .action(async (flags: ServerFlags) => {
      const { ls } = await import('./server/show.ts')
      process.exitCode = await ls(flags, print)
    })
}

function addStatus(server: Command): void {
  common(server.command('status'))
    .description('Shows servers and their replicas. Exit code 1 = a server has failed.')
    .argument('[name]', 'server (default: all)')
    .action(async (name: string | undefined, flags: ServerFlags) => {
      const { status } = await import('./server/show.ts')
      process.exitCode = await status(name ?? '', flags, print)
    })
}

function addInspect(server: Command): void {
  common(server.command('inspect'))
    .description('Shows as JSON what is known about a server: its state and its configuration. Secrets are left out.')
    .argument('<name>', 'server')
    .action(async (name: string, flags: ServerFlags) => {
      const { inspect } = await import('./server/show.ts')
      process.exitCode = await inspect(name, flags, print)
    })
}

function addLogs(server: Command): void {
  common(server.command('logs'))
    .description('Shows what the replicas of a server write.')
    .argument('<name>', 'server')
    .option('-f, --follow', 'go on as lines come; Ctrl-C ends it')
    .option('-n, --lines <number>', 'how many of the last lines (default 100)', wholeNumber, 100)
    .option('--replica <id>', 'only of this replica')
    .action(async (name: string, flags: import('./server/flags.ts').LogsFlags) => {
      const { logs } = await import('./server/logs.ts')
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort())
      process.exitCode = await logs(name, flags, print, stop.signal)
    })
}

function addAction(server: Command, action: 'restart' | 'stop' | 'start', text: string): void {
  common(server.command(action))
    .description(text)
    .argument('<name>', 'server')
    .option('--no-wait', 'do not wait until it is done')
    .option('--timeout <time>', 'how long to wait (default 2m)', time, 120_000)
    .action(async (name: string, flags: import('./server/flags.ts').ActionFlags) => {
      const { act } = await import('./server/act.ts')
      process.exitCode = await act(name, action, flags, print, complain)
    })
}

function common(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration of the running proxy (default ./sluice.yaml, if there is one)')
    .option('--socket <path>', 'its control socket, in place of what the configuration says')
    .option('--json', 'as JSON')
}

function print(text: string): void {
  process.stdout.write(text)
}

function complain(text: string): void {
  process.stderr.write(text)
}

function wholeNumber(text: string): number {
  if (!/^\d{1,5}$/.test(text)) throw new InvalidArgumentError('Expected a whole number from 0 to 99999.')
  return Number(text)
}

function time(text: string): number {
  const ms = parseDuration(text)
  if (ms === null || ms === 0) throw new InvalidArgumentError('Expected a duration such as 30s or 5m.')
  return ms
}
