import { existsSync, type Stats, statSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { type FileLine, readLines } from '../../interceptors/audit/read-lines.ts'
import { rotatedFiles } from '../../interceptors/audit/rotation.ts'
import { type Output, Printer, parse } from './audit-query.ts'
import { UsageError } from './usage-error.ts'

export interface TailFlags {
  readonly follow?: boolean
  readonly lines: number
  readonly json?: boolean
}

/** Bytes from the end in which the last lines are looked for; of longer ones, fewer are shown. */
const BYTES_PER_LINE = 64 * 1024
const MOST_BYTES = 64 * 1024 * 1024
/** How often a followed file is looked at. */
const LOOK_MS = 250

/**
 * `sluice audit tail`: the last lines, and with `follow` those that come, until `signal` is aborted.
 * @throws UsageError when there is no such file
 */
export async function auditTail(file: string, flags: TailFlags, out: Output, signal: AbortSignal): Promise<void> {
  if (!existsSync(file)) throw new UsageError(`${file}: there is no such file`)
  const printer = new Printer(flags.json === true, out)
  const begun = statSync(file)
  const start = Math.max(0, begun.size - Math.min(MOST_BYTES, flags.lines * BYTES_PER_LINE))
  const kept: FileLine[] = []
  let position = start
  for await (const batch of readLines(file, start)) {
    for (const line of batch) {
      if (!line.isWhole) continue
      // The first one may be the end of a line only.
      if ((start === 0 || line.number > 1) && parse(line.bytes) !== null) kept.push(line)
      if (kept.length > flags.lines) kept.shift()
      position = line.offset + line.bytes.length + 1
    }
  }
  for (const { bytes } of kept) print(printer, bytes)
  await printer.flush()
  if (flags.follow === true) await follow(file, position, begun, printer, signal)
}

async function follow(file: string, from: number, begun: Stats, printer: Printer, signal: AbortSignal): Promise<void> {
  let position = from
  let inode = begun.ino
  while (!signal.aborted) {
    const found = statSync(file, { throwIfNoEntry: false })
    if (found !== undefined) {
      if (found.ino !== inode) await printRest(file, inode, position, printer)
      if (found.ino !== inode || found.size < position) position = 0
      inode = found.ino
      if (found.size > position) position = await printFrom(file, position, printer)
    }
    await delay(LOOK_MS, undefined, { signal }).catch(() => {})
  }
}

/** What was written into a file between the last look and its rotation. */
async function printRest(file: string, inode: number, position: number, printer: Printer): Promise<void> {
  const old = [`${file}.1`, ...rotatedFiles(file)].find(
    path => statSync(path, { throwIfNoEntry: false })?.ino === inode,
  )
  if (old !== undefined) await printFrom(old, position, printer)
}

/** Prints whole lines, and tells where the next one begins. */
async function printFrom(file: string, start: number, printer: Printer): Promise<number> {
  let position = start
  for await (const batch of readLines(file, start)) {
    for (const line of batch) {
      if (!line.isWhole) continue
      print(printer, line.bytes)
      position = line.offset + line.bytes.length + 1
    }
    await printer.flush()
  }
  return position
}

function print(printer: Printer, bytes: Uint8Array): void {
  const line = parse(bytes)
  if (line !== null) printer.add(bytes, line)
}
