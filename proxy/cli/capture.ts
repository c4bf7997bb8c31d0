import { randomBytes } from 'node:crypto'
import { unlinkSync } from 'node:fs'
import { formatByteSize } from '../api/units.ts'
import type { CaptureSpec } from '../shadow/capture.ts'
import { CORPUS_VERSION, type CorpusHead, type Values } from '../shadow/corpus.ts'
import { ControlClient } from './control-client.ts'
import { count, FAILED, OK } from './failure.ts'
import { CorpusWriter } from './replay/corpus-file.ts'
import { Seal } from './replay/seal.ts'
import { UsageError } from './usage-error.ts'

export interface CaptureFlags {
  readonly config?: string
  readonly socket?: string
  readonly out: string
  /** Milliseconds. */
  readonly for: number
  readonly max: number
  readonly maxBytes: number
  /** Of 100. */
  readonly sample: number
  readonly server: readonly string[]
  readonly tool: readonly string[]
  readonly values: Values
  readonly keyFile?: string
}

interface Line {
  readonly begin?: object
  readonly exchange?: object
  readonly end?: { readonly captured: number; readonly lost: number; readonly why: string }
  readonly error?: string
}

/** What came of it, besides the corpus. */
interface Tally {
  lost: number
  why: string
  began: boolean
  readonly errors: string[]
}

/**
 * `sluice capture`: writes what passes through a running proxy into a corpus, until there is enough, the time is over, or
 * `signal` says so. Gives the exit code.
 */
export async function capture(flags: CaptureFlags, signal: AbortSignal, tell: (text: string) => void): Promise<number> {
  const client = ControlClient.find(flags)
  const seal = sealOf(flags)
  const stop = new AbortController()
  const lines = client.lines({
    method: 'POST',
    path: '/capture',
    body: { ...specOf(flags) },
    signal: AbortSignal.any([signal, stop.signal]),
  })
  // Made before the proxy is asked, so that nothing is recorded that has no place.
  const writer = new CorpusWriter(flags.out, headOf(flags), seal)
  const tally: Tally = { lost: 0, why: '', began: false, errors: [] }
  try {
    for await (const text of lines) {
      const wasBegun = tally.began
      if (takeLine(text, writer, tally, flags)) stop.abort()
      if (tally.began && !wasBegun) tell(`recording into ${flags.out}; Ctrl-C ends it\n`)
    }
  } catch (error) {
    // Nobody was there to record anything: no file either.
    if (writer.count === 0) unlinkSync(flags.out)
    throw error
  } finally {
    writer.close()
  }
  const why = tally.why !== '' ? tally.why : signal.aborted ? 'stopped' : 'the proxy has ended it'
  const lost = tally.lost === 0 ? '' : `, ${tally.lost} lost (too large, or too many at a time)`
  tell(`${flags.out}: ${count(writer.count, 'exchange')}${lost}; values ${flags.values}; ${why}\n`)
  for (const error of tally.errors) tell(`sluice: ${error}\n`)
  return tally.errors.length > 0 ? FAILED : OK
}

/** @returns whether that was enough */
function takeLine(text: string, writer: CorpusWriter, tally: Tally, flags: CaptureFlags): boolean {
  if (text === '' || writer.count >= flags.max) return false
  const line = JSON.parse(text) as Line
  if (line.begin !== undefined) {
    tally.began = true
  } else if (line.end !== undefined) {
    tally.lost += line.end.lost
    tally.why ||= line.end.why
  } else if (line.exchange === undefined) {
    tally.errors.push(line.error ?? 'a line that is none')
  } else {
    writer.add(JSON.stringify(line.exchange))
  }
  const isFull = writer.count >= flags.max
  const isLarge = writer.bytes >= flags.maxBytes
  if (isFull || isLarge) tally.why = isFull ? 'max is reached' : 'max_bytes is reached'
  return isFull || isLarge
}

function specOf({ max, maxBytes, for: forMs, sample, server, tool, values }: CaptureFlags): CaptureSpec {
  return {
    max,
    max_bytes: maxBytes,
    for_ms: forMs,
    sample: sample / 100,
    servers: [...server],
    tools: [...tool],
    values,
    hash_key: values === 'hashed' ? randomBytes(32).toString('hex') : '',
  }
}

function headOf({ sample, server, tool, values, max, maxBytes }: CaptureFlags): CorpusHead {
  const filters = {
    servers: [...server],
    tools: [...tool],
    sample: `${sample}%`,
    max,
    max_bytes: formatByteSize(maxBytes),
  }
  return { sluice_corpus: CORPUS_VERSION, created_at: new Date().toISOString(), values, filters }
}

function sealOf({ values, keyFile }: CaptureFlags): Seal | null {
  if (values === 'encrypted') {
    if (keyFile !== undefined) return Seal.read(keyFile)
    throw new UsageError('--values encrypted needs --key-file FILE')
  }
  if (keyFile === undefined) return null
  throw new UsageError(`--key-file is for --values encrypted; these are ${values}`)
}
