#!/usr/bin/env node
import { exitCodeOf } from './failure.ts'
import { beginSmall } from './start-memory.ts'
import { version } from './version.ts'

// `sluice … | head` is no failure: who reads has enough.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code === 'EPIPE') process.exit(0)
    throw error
  })
}

const args = process.argv.slice(2)
// Without this the answer would wait for the whole command line parser.
if (args.length === 1 && (args[0] === '--version' || args[0] === '-V')) {
  process.stdout.write(`${version()}\n`)
} else {
  if (args[0] === 'run') beginSmall()
  const { program } = await import('./program.ts')
  try {
    await program().parseAsync(args, { from: 'user' })
  } catch (error) {
    process.exitCode = exitCodeOf(error)
  }
}
