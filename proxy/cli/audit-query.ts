import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { CHAIN_EVENT } from '../../interceptors/audit/chain-format.ts'
import { readLines } from '../../interceptors/audit/read-lines.ts'
import { GlobList, globProblem } from '../api/glob.ts'
import { tableHead, tableRow } from './audit-table.ts'
import { UsageError } from './usage-error.ts'

export interface QueryFlags {
  readonly client: readonly string[]
  readonly server: readonly string[]
  readonly tool: readonly string[]
  readonly status: readonly string[]
  readonly code: readonly string[]
  /** Milliseconds since the epoch. */
  readonly since?: number
  readonly until?: number
  readonly limit?: number
  readonly json?: boolean
}

/** Where rows go: standard output, or what a test listens to. */
export interface Output {
  write(text: string): boolean
  once(event: 'drain', listener: () => void): unknown
  readonly columns?: number
}

type Line = Readonly<Record<string, unknown>>

/**
 * `sluice audit query`: reads files from the beginning to the end, and keeps nothing of them.
 * @throws UsageError when a file is not there or a glob is wrong
 */
export async function auditQuery(files: readonly string[], flags: QueryFlags, out: Output): Promise<void> {
  for (const file of files) if (!existsSync(file)) throw new UsageError(`${file}: there is no such file`)
  const fits = filterOf(flags)
  const printer = new Printer(flags.json === true, out)
  let left = flags.limit ?? Number.POSITIVE_INFINITY
  for (const file of files) {
    for await (const batch of readLines(file)) {
      for (const { bytes } of batch) {
        const line = parse(bytes)
        if (line === null || !fits(line)) continue
        printer.add(bytes, line)
        if (--left <= 0) return printer.flush()
      }
      await printer.flush()
    }
  }
}

/** Rows of a table, or the lines as they are; waits for a slow reader. */
export class Printer {
  readonly #json: boolean
  readonly #out: Output
  #text = ''
  #isFirst = true

  constructor(json: boolean, out: Output) {
    this.#json = json
    this.#out = out
  }

  add(bytes: Uint8Array, line: Line): void {
    const width = this.#out.columns ?? 0
    if (this.#json) this.#text += `${Buffer.from(bytes).toString()}\n`
    else this.#text += (this.#isFirst ? tableHead(width) : '') + tableRow(line, width)
    this.#isFirst = false
  }

  async flush(): Promise<void> {
    const text = this.#text
    this.#text = ''
    if (text !== '' && !this.#out.write(text)) await once(this.#out as never, 'drain')
  }
}

/** A line as an object; `null` for what is none, and for those that only hold a chain together. */
export function parse(bytes: Uint8Array): Line | null {
  try {
    const line = JSON.parse(Buffer.from(bytes).toString()) as unknown
    if (typeof line !== 'object' || line === null || Array.isArray(line)) return null
    return (line as Line).event === CHAIN_EVENT ? null : (line as Line)
  } catch {
    return null
  }
}

function filterOf(flags: QueryFlags): (line: Line) => boolean {
  const tests: ((line: Line) => boolean)[] = []
  const named = (option: string, globs: readonly string[], ...keys: string[]): void => {
    if (globs.length === 0) return
    for (const glob of globs) {
      const problem = globProblem(glob)
      if (problem !== null) throw new UsageError(`--${option} ${glob}: ${problem}`)
    }
    const list = new GlobList(globs)
    tests.push(line => keys.some(key => typeof line[key] === 'string' && list.fits(line[key])))
  }
  named('client', flags.client, 'client_id')
  named('server', flags.server, 'server')
  named('tool', flags.tool, 'tool', 'name')
  named('status', flags.status, 'status')
  named('code', flags.code, 'code')
  const { since, until } = flags
  if (since !== undefined) tests.push(line => timeOf(line) >= since)
  if (until !== undefined) tests.push(line => timeOf(line) < until)
  return line => tests.every(test => test(line))
}

function timeOf(line: Line): number {
  return typeof line.timestamp === 'string' ? Date.parse(line.timestamp) : Number.NaN
}
