import { parseArgs } from 'node:util'

/** Width of the column of names. */
export const NAME_WIDTH = 35

/** What `bench/bridge.ts` can be told; `null` = help was asked for. @throws Error that says what is wrong */
export function readOptions(defaults: { rounds: number; seconds: number }) {
  const text = { type: 'string' } as const
  const known = { rounds: text, seconds: text, connections: text, json: text }
  const { values } = parseArgs({ options: { ...known, help: { type: 'boolean', short: 'h' } } })
  if (values.help === true) return null
  return {
    rounds: whole('rounds', values.rounds ?? String(defaults.rounds), 3),
    seconds: whole('seconds', values.seconds ?? String(defaults.seconds), 1),
    connections: whole('connections', values.connections ?? '16', 1),
    json: values.json ?? '',
  }
}

function whole(name: string, text: string, least: number): number {
  const value = Number(text)
  if (!Number.isInteger(value) || value < least) {
    throw new Error(`--${name}: expected a whole number of at least ${least}, got "${text}"`)
  }
  return value
}

/** Runs a benchmark as a program: errors in one line, and nothing left behind after ^C. */
export async function asProgram(name: string, run: () => Promise<void>): Promise<void> {
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130))
  try {
    await run()
  } catch (error) {
    console.error(`${name}: ${(error as Error).message}`)
    process.exitCode = 1
  }
}
