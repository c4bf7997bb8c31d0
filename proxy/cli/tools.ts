import type { Command } from 'commander'
import { collect } from './option-values.ts'

const TOOLS_EXAMPLES = `
Examples:
  sluice tools pin -c sluice.yaml > tools.lock.yaml               the tools of every server
  sluice tools diff -c sluice.yaml --lock tools.lock.yaml         what changed since; exit code 1 if anything did
  sluice tools pin http://127.0.0.1:3001/mcp --server github`

/** `sluice tools pin|diff`. */
export function addTools(root: Command): void {
  const tools = root.command('tools').summary('pin the tools of servers, and see what changed')
  tools.description('What servers tell models about their tools, written down and compared.').exitOverride()
  const commands = [
    tools.command('pin').description('Asks servers for their tools and writes a lock file to standard output.'),
    tools.command('diff').description('Asks servers for their tools and shows how they differ from a lock file.'),
  ] as const
  for (const command of commands) {
    command
      .argument('[url]', 'Streamable HTTP endpoint of a server')
      .option('-c, --config <file>', 'configuration file (default ./sluice.yaml, if there is one)')
      .option('--server <name>', 'only this server; with a URL: its name (default "default")')
      .option('--header <line>', '"Name: value" to send to the URL; repeatable', collect, [])
      .addHelpText('after', TOOLS_EXAMPLES)
      .exitOverride()
  }
  const out = (text: string): boolean => process.stdout.write(text)
  commands[0].action(async (url: string | undefined, flags: import('./tools-lock.ts').ToolsFlags) => {
    const { toolsPin } = await import('./tools-lock.ts')
    await toolsPin(url, flags, out, text => process.stderr.write(text))
  })
  commands[1].option('--lock <file>', 'lock file', 'tools.lock.yaml')
  commands[1].action(
    async (url: string | undefined, flags: import('./tools-lock.ts').ToolsFlags & { lock: string }) => {
      const { toolsDiff } = await import('./tools-lock.ts')
      process.exitCode = await toolsDiff(url, flags, flags.lock, out)
    },
  )
}
