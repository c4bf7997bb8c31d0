import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { program } from '../../proxy/cli/program.ts'

/**
 * What is wrong with a line of a shell example, `''` when nothing is: npm scripts exist, `sluice` has the command and the
 * flags, files to run are there. Other commands are not ours to check.
 */
export function checkShellLine(line: string, root: string): string {
  const words = (line.split(' #')[0] ?? '').trim().split(/\s+/)
  const [command = ''] = words
  if (command === 'sluice') return checkSluice(words.slice(1))
  if (command === 'npm') return checkNpm(words.slice(1), root)
  if (command === '.ci/run') return existsSync(join(root, command)) ? '' : 'no such file'
  return ''
}

function checkNpm(words: readonly string[], root: string): string {
  const scripts = (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { scripts: object }).scripts
  const [verb = '', ...rest] = words.filter(word => word !== '-s' && word !== '--silent')
  if (verb === 'ci' || verb === 'install') return ''
  const script = verb === 'run' ? (rest[0] ?? '') : verb
  if (!Object.hasOwn(scripts, script)) return `package.json has no script "${script}"`
  const dashes = rest.indexOf('--')
  return script === 'sluice' && dashes !== -1 ? checkSluice(rest.slice(dashes + 1)) : ''
}

function checkSluice(all: readonly string[]): string {
  // What stands behind another `--` belongs to the program that is to be run.
  const words = all.includes('--') ? all.slice(0, all.indexOf('--')) : all
  let command: Command = program()
  for (const word of words) {
    if (word.startsWith('-')) {
      const flag = word.split('=')[0] ?? ''
      const known = command.options.some(option => option.short === flag || option.long === flag)
      if (!known && !['-h', '--help'].includes(flag)) return `sluice ${command.name()} has no flag ${flag}`
    } else {
      command = command.commands.find(one => one.name() === word) ?? command
    }
  }
  const isGroup = command.commands.length > 0
  return isGroup && words.some(word => !word.startsWith('-')) ? `sluice has no command "${words[0]}"` : ''
}
