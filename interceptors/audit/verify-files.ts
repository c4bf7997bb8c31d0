import { existsSync } from 'node:fs'
import { type Link, linkOf } from './chain-format.ts'
import { headPath, readHead } from './head-file.ts'
import { readLines } from './read-lines.ts'
import { rotatedFiles } from './rotation.ts'
import { Verifier } from './verify.ts'

export interface VerifyOptions {
  /** `[]` = lines were chained without a key. */
  readonly keys: readonly string[]
  /** Whether to read, with each file, what was rotated away from it. */
  readonly rotated: boolean
  /** Lines that must be among them. Default: none. */
  readonly expected?: readonly Link[]
}

/**
 * Verifies files of one or several chains, in whatever order they are named.
 * @throws Error when a file cannot be read
 */
export async function verifyFiles(paths: readonly string[], options: VerifyOptions): Promise<Verifier> {
  const verifier = new Verifier(options.keys)
  for (const link of options.expected ?? []) verifier.expectLine(link)
  // Before the lines: a process may be writing, and then they are ahead of it.
  for (const path of paths) expectHead(verifier, path)
  const named = options.rotated ? paths.flatMap(path => [...rotatedFiles(path), path]) : paths
  for (const path of await inOrder([...new Set(named)])) {
    verifier.begin(path)
    for await (const batch of readLines(path)) for (const line of batch) verifier.line(line)
    verifier.end()
  }
  verifier.finish()
  return verifier
}

function expectHead(verifier: Verifier, path: string): void {
  const head = readHead(path)
  if (head === 'damaged') verifier.complain(headPath(path), 'it does not say where the chain stands')
  else if (head !== null) verifier.expect(headPath(path), head)
}

/** By the place of their first chained lines: names say little about time. */
async function inOrder(paths: readonly string[]): Promise<string[]> {
  const found: { path: string; seq: number }[] = []
  for (const path of paths) {
    // What was rotated away may be removed while this runs; what was named may not.
    if (!existsSync(path)) throw new Error(`${path}: there is no such file`)
    found.push({ path, seq: await firstSeq(path) })
  }
  return found.toSorted((a, b) => a.seq - b.seq).map(one => one.path)
}

async function firstSeq(path: string): Promise<number> {
  for await (const batch of readLines(path)) {
    for (const line of batch) {
      const link = linkOf(line.bytes)
      if (link !== null) return link.seq
    }
  }
  return Number.MAX_SAFE_INTEGER
}
