import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs'
import type { Head } from './chain-format.ts'

/** Always of one length, so that writing it again leaves nothing of the one before. */
const HEAD_BYTES = 160

/** The file that says where a chain stands, beside the chained file. */
export function headPath(path: string): string {
  return `${path}.head`
}

/** @returns `null` when there is none, `'damaged'` when it does not say what it should */
export function readHead(path: string): Head | 'damaged' | null {
  let text: string
  try {
    text = readFileSync(headPath(path), 'utf8')
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT' ? null : 'damaged'
  }
  const found = /^\{"chain":"([0-9a-f]{16})","seq":(\d{1,16}),"hash":"([0-9a-f]{64})"\} *\n$/.exec(text)
  if (found === null || text.length !== HEAD_BYTES) return 'damaged'
  return { chain: found[1] as string, seq: Number(found[2]), hash: found[3] as string }
}

/** Keeps `<file>.head` up to date: it is written after the lines it speaks of, so it is never ahead of them. */
export class HeadFile {
  readonly #path: string
  #fd = -1

  constructor(path: string) {
    this.#path = headPath(path)
  }

  write(head: Head): void {
    if (this.#fd < 0) this.#fd = openSync(this.#path, constants.O_WRONLY | constants.O_CREAT, 0o600)
    const text = `${JSON.stringify({ chain: head.chain, seq: head.seq, hash: head.hash }).padEnd(HEAD_BYTES - 1)}\n`
    writeSync(this.#fd, text, 0, 'latin1')
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }
}
