import type { Command } from 'commander'

const EXAMPLES = `
The value is asked for without showing it, or read from standard input; it is never an argument, because everybody on
the machine can see those. A configuration uses it as "secret:NAME".

Examples:
  sluice secret set github                                 asks for the value
  sluice secret set github < token.txt
  sluice secret set db/cert --raw < client.p12             bytes as they are
  sluice secret ls
  sluice secret rm github
  sluice secret rotate-key`

/** `sluice secret set|ls|rm|rotate-key`. */
export function addSecret(root: Command): void {
  const secret = root
    .command('secret')
    .summary('keep secrets in the encrypted store')
    .description('Secrets of credentials, encrypted in a file. A running proxy sees changes by itself.')
    .addHelpText('after', EXAMPLES)
  const set = secret.command('set').description('Keeps a secret, or a new value of it.')
  set.argument('<name>', 'letters, digits and . _ / -').option('--raw', 'keep a line break at the end, too')
  const ls = secret.command('ls').description('Lists names, versions and times. Needs no key.')
  ls.option('--json', 'as JSON')
  const rm = secret.command('rm').description('Removes secrets.').argument('<name...>', 'names')
  const rotate = secret.command('rotate-key').description('Makes a new key and encrypts every secret anew.')
  for (const command of [set, ls, rm, rotate]) {
    command
      .option(
        '-c, --config <file>',
        'configuration that says where the store is (default ./sluice.yaml, if there is one)',
      )
      .option('--store <file>', 'the store, in place of what the configuration says')
      .option('--key-file <file>', 'its key, in place of what the configuration says')
      .exitOverride()
  }
  addActions(set, ls, rm, rotate)
}

type Flags = import('./secret/places.ts').PlaceFlags

function addActions(set: Command, ls: Command, rm: Command, rotate: Command): void {
  const note = (text: string): boolean => process.stderr.write(text)
  set.action(async (name: string, flags: Flags & { raw?: boolean }) => {
    const { secretSet } = await import('./secret/commands.ts')
    await secretSet(name, flags, process.stdin, process.stderr)
  })
  ls.action(async (flags: Flags & { json?: boolean }) => {
    const { secretList } = await import('./secret/commands.ts')
    process.stdout.write(await secretList(flags))
  })
  rm.action(async (names: string[], flags: Flags) => {
    const { secretRemove } = await import('./secret/commands.ts')
    process.exitCode = await secretRemove(names, flags, note)
  })
  rotate.action(async (flags: Flags) => {
    const { secretRotate } = await import('./secret/commands.ts')
    await secretRotate(flags, note)
  })
}
