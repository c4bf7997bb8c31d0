/**
 * The generator of `sluice bench` as a process of its own: its result goes to a file, and a line is printed at each second.
 *
 * Usage: node bench/harness/own-load.ts URL SCENARIO.json RESULT.json
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { runLoad } from '../../proxy/load/load-run.ts'
import type { Scenario } from '../../proxy/load/scenario.ts'

const [url = '', from = '', to = ''] = process.argv.slice(2)
const scenario = JSON.parse(readFileSync(from, 'utf8')) as Scenario
const { signal } = new AbortController()
const result = await runLoad({
  url: new URL(url),
  scenario,
  signal,
  onSecond: ({ second }) => process.stdout.write(`${second}\n`),
})
writeFileSync(to, JSON.stringify(result))
process.exit(0)
