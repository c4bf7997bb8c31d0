#!/usr/bin/env node
import { exitCodeOf } from './failure.ts'
import { version } from './version.ts'

const args = process.argv.slice(2)
// Without this the answer would wait for the whole command line parser.
if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  process.stdout.write(`${version()}\n`)
} else {
  const { program } = await import('./program.ts')
  try {
    await program().parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = exitCodeOf(error)
  }
}
