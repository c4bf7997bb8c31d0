import { createReadStream } from 'node:fs'
import { pipeline, type Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'

/** One line of a file. */
export interface FileLine {
  /** Without its line end; a view of what was read. */
  readonly bytes: Buffer
  /** From 1. */
  readonly number: number
  /** Where it begins in the file, in bytes. */
  readonly offset: number
  /** Whether it has a line end: only the last one may lack it. */
  readonly isWhole: boolean
}

/** Sluice writes no line that is longer; of a longer one only the beginning is given. */
export const MAX_LINE_BYTES = 16 * 1024 * 1024
const NEWLINE = 0x0a

/**
 * The lines of a file, in batches, in memory of a bounded size. A name that ends in `.gz` is unpacked on the way.
 * @param start the byte where to begin; not with `.gz`
 */
export async function* readLines(path: string, start = 0): AsyncGenerator<readonly FileLine[]> {
  let rest: Buffer = Buffer.alloc(0)
  let number = 0
  let offset = start
  for await (const chunk of open(path, start)) {
    const bytes = rest.length === 0 ? (chunk as Buffer) : Buffer.concat([rest, chunk as Buffer])
    const batch: FileLine[] = []
    let from = 0
    for (let end = bytes.indexOf(NEWLINE, rest.length); end !== -1; end = bytes.indexOf(NEWLINE, from)) {
      batch.push({ bytes: bytes.subarray(from, end), number: ++number, offset, isWhole: true })
      offset += end + 1 - from
      from = end + 1
    }
    rest = bytes.subarray(from)
    if (rest.length > MAX_LINE_BYTES) throw new Error(`${path}: line ${number + 1} is longer than 16 MiB`)
    if (batch.length > 0) yield batch
  }
  if (rest.length > 0) yield [{ bytes: rest, number: number + 1, offset, isWhole: false }]
}

function open(path: string, start: number): Readable {
  const file = createReadStream(path, { start, highWaterMark: 256 * 1024 })
  if (!path.endsWith('.gz')) return file
  const unpacked = createGunzip()
  pipeline(file, unpacked, () => {})
  return unpacked
}
