import { printable } from '../audit-table.ts'
import { ControlClient } from '../control-client.ts'
import { OK } from '../failure.ts'
import { pathOf } from './ask.ts'
import type { LogsFlags, Print } from './flags.ts'

interface Line {
  readonly timestamp: string
  readonly replica: string
  readonly line: string
}

/** `sluice server logs`: what is kept, and with `follow` what comes, until `signal` is aborted. Gives the exit code. */
export async function logs(name: string, flags: LogsFlags, print: Print, signal: AbortSignal): Promise<number> {
  const { follow = false, lines, replica, json = false } = flags
  const query = { lines: String(lines), ...(follow && { follow: '1' }) }
  for await (const text of ControlClient.find(flags).lines({ path: pathOf(name, '/logs'), query, signal })) {
    if (text === '') continue
    const line = JSON.parse(text) as Line
    if (replica !== undefined && line.replica !== '' && line.replica !== replica) continue
    print(json ? `${text}\n` : `${line.timestamp}  ${line.replica}  ${printable(line.line)}\n`)
  }
  return OK
}
