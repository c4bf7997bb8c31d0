import { readSync } from 'node:fs'
import { type Link, linkOf } from './chain-format.ts'

/** How a file ends. */
export interface FileEnd {
  /** The place of its last whole line in a chain; `null` = it has none, or there is no whole line. */
  readonly link: Link | null
  /** What stands behind the last line end. */
  readonly rest: Buffer
  /** Whether `rest` is all there is. */
  readonly isWhole: boolean
}

const FIRST_READ = 64 * 1024
/** No line is longer. */
const MAX_READ = 16 * 1024 * 1024
const NEWLINE = 0x0a

/** Reads the end of a file, from the last whole line on. */
export function readEnd(fd: number, size: number): FileEnd {
  for (let want = FIRST_READ; ; want *= 4) {
    const length = Math.min(want, size, MAX_READ)
    const end = endOf(readAt(fd, size - length, length), length === size)
    if (end !== null) return end
    if (want >= MAX_READ) return { link: null, rest: Buffer.alloc(0), isWhole: false }
  }
}

function endOf(bytes: Buffer, isAll: boolean): FileEnd | null {
  const last = bytes.lastIndexOf(NEWLINE)
  const rest = bytes.subarray(last + 1)
  if (last === -1) return isAll ? { link: null, rest, isWhole: true } : null
  const before = last === 0 ? -1 : bytes.lastIndexOf(NEWLINE, last - 1)
  if (before === -1 && !isAll) return null
  return { link: linkOf(bytes.subarray(before + 1, last)), rest, isWhole: false }
}

function readAt(fd: number, position: number, length: number): Buffer {
  const bytes = Buffer.alloc(length)
  let done = 0
  while (done < length) {
    const size = readSync(fd, bytes, done, length - done, position + done)
    if (size === 0) break
    done += size
  }
  return bytes.subarray(0, done)
}
