import { closeSync, createReadStream, openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { CORPUS_VERSION, type CorpusExchange, type CorpusHead } from '../../shadow/corpus.ts'
import { UsageError } from '../usage-error.ts'
import { Seal } from './seal.ts'

/** Writes a corpus: a new file of mode 0600, a head, and one line an exchange. */
export class CorpusWriter {
  readonly #fd: number
  readonly #head: CorpusHead
  readonly #seal: Seal | null
  #lines = 0
  /** Bytes written. */
  bytes = 0

  /** @throws UsageError when the file is there already, or cannot be made */
  constructor(file: string, head: CorpusHead, seal: Seal | null) {
    try {
      this.#fd = openSync(file, 'wx', 0o600)
    } catch (error) {
      const exists = (error as NodeJS.ErrnoException).code === 'EEXIST'
      const text = exists ? 'there is such a file already: name another one, or remove it' : (error as Error).message
      throw new UsageError(`${file}: ${text}`)
    }
    this.#head = seal === null ? head : { ...head, key: seal.fingerprint }
    this.#seal = seal
    this.#write(JSON.stringify(this.#head))
  }

  /** How many exchanges it has. */
  get count(): number {
    return this.#lines
  }

  /** @param exchange JSON text of one line */
  add(exchange: string): void {
    this.#lines++
    const sealed = this.#seal?.close(exchange, placeOf(this.#head, this.#lines))
    this.#write(sealed === undefined ? exchange : JSON.stringify({ sealed }))
  }

  close(): void {
    closeSync(this.#fd)
  }

  #write(line: string): void {
    this.bytes += writeSync(this.#fd, `${line}\n`)
  }
}

/** A corpus to be read line by line. */
export interface Corpus {
  readonly head: CorpusHead
  /** With the number of its line in the file. Rejects with a UsageError for a line that is none. */
  exchanges(): AsyncGenerator<{ readonly line: number; readonly exchange: CorpusExchange }>
}

/**
 * Opens a corpus.
 * @param keyFile `''` = none given
 * @throws UsageError when it is none, of another version, or its key is missing or another one
 */
export async function readCorpus(file: string, keyFile: string): Promise<Corpus> {
  const lines = linesOf(file)
  const first = await lines.next()
  const head = headOf(file, first.done === true ? '' : first.value)
  const seal = sealOf(file, head, keyFile)
  async function* exchanges(): ReturnType<Corpus['exchanges']> {
    let line = 1
    for await (const text of lines) {
      line++
      if (text !== '') yield { line, exchange: exchangeOf(`${file}:${line}`, text, head, seal, line - 1) }
    }
  }
  return { head, exchanges }
}

async function* linesOf(file: string): AsyncGenerator<string> {
  const input = createReadStream(file)
  try {
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) yield line
  } catch (error) {
    throw new UsageError(`${file}: ${(error as Error).message}`)
  } finally {
    input.destroy()
  }
}

function headOf(file: string, line: string): CorpusHead {
  const head = parse(line)
  if (typeof head?.sluice_corpus !== 'number') {
    throw new UsageError(
      `${file}: no corpus: expected a first line {"sluice_corpus":${CORPUS_VERSION},…}, as \`sluice capture\` writes`,
    )
  }
  if (head.sluice_corpus !== CORPUS_VERSION) {
    throw new UsageError(
      `${file}: a corpus of version ${head.sluice_corpus}; this program reads version ${CORPUS_VERSION}`,
    )
  }
  return head as unknown as CorpusHead
}

function sealOf(file: string, head: CorpusHead, keyFile: string): Seal | null {
  if (head.values !== 'encrypted') return null
  if (keyFile === '') throw new UsageError(`${file} is encrypted: give --key-file FILE`)
  const seal = Seal.read(keyFile)
  if (seal.fingerprint === head.key) return seal
  throw new UsageError(`${keyFile}: another key than that of ${file}`)
}

function exchangeOf(place: string, text: string, head: CorpusHead, seal: Seal | null, number: number): CorpusExchange {
  const given = parse(text)
  const opened = seal === null ? given : parse(open(place, given, head, seal, number))
  if (opened === null || typeof opened.server !== 'string' || typeof opened.at !== 'number') {
    throw new UsageError(`${place}: not an exchange of a corpus`)
  }
  return opened as unknown as CorpusExchange
}

function open(
  place: string,
  given: Record<string, unknown> | null,
  head: CorpusHead,
  seal: Seal,
  number: number,
): string {
  try {
    return seal.open(String(given?.sealed), placeOf(head, number))
  } catch {
    throw new UsageError(`${place}: it does not open: the line was changed, or stood elsewhere`)
  }
}

function placeOf(head: CorpusHead, number: number): string {
  return `${head.created_at} ${number}`
}

function parse(text: string): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : null
  } catch {
    return null
  }
}
