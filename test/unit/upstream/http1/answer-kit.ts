import assert from 'node:assert/strict'
import type { AnswerHead } from '../../../../proxy/upstream/http1/answer-head.ts'
import { AnswerReader } from '../../../../proxy/upstream/http1/answer-reader.ts'

/** What came of some bytes. Of an error only that there is one: which of two comes first may depend on the pieces. */
interface Outcome {
  readonly head: AnswerHead | null
  readonly body: string
  readonly ended: boolean
  readonly untilClose: boolean
  /** What is behind the answer; '' while it has not ended. */
  readonly rest: string
  readonly failed: boolean
}

export const MAX_HEAD_BYTES = 300

/** Reads pieces as a connection does, to the end of one answer. `halts` says at which callbacks the sink wants no more. */
export function read(pieces: readonly Buffer[], halts: (callback: number) => boolean = () => false): Outcome {
  const heads: AnswerHead[] = []
  const body: Buffer[] = []
  let callbacks = 0
  const called = (): void => {
    if (halts(callbacks++)) reader.halted = true
  }
  const sink = {
    onAnswerHead: (head: AnswerHead): void => {
      heads.push(head)
      called()
    },
    onAnswerData: (chunk: Buffer): void => {
      assert.equal(heads.length, 1)
      assert.notEqual(chunk.length, 0)
      body.push(Buffer.from(chunk))
      called()
    },
  }
  const reader = new AnswerReader(sink, MAX_HEAD_BYTES)
  const rest: Buffer[] = []
  let failed = false
  try {
    for (const piece of pieces) rest.push(readPiece(reader, piece))
  } catch (error) {
    assert.match(String((error as { code?: string }).code), /^(HPE_|UND_ERR_HEADERS_OVERFLOW|undefined$)/)
    failed = true
  }
  assert.ok(heads.length <= 1)
  return {
    head: heads[0] ?? null,
    body: Buffer.concat(body).toString('latin1'),
    ended: reader.ended,
    untilClose: !failed && reader.endsWithConnection,
    rest: Buffer.concat(rest).toString('latin1'),
    failed,
  }
}

/** Reads one piece, again after each halt; gives what the answer does not need. */
function readPiece(reader: AnswerReader, piece: Buffer): Buffer {
  let rest = piece
  while (rest.length > 0 && !reader.ended) {
    const used = reader.read(rest)
    assert.ok(used > 0 && used <= rest.length)
    assert.ok(used === rest.length || reader.halted || reader.ended)
    rest = rest.subarray(used)
  }
  return rest
}

export function bytes(text: string): Buffer {
  return Buffer.from(text, 'latin1')
}

export function readText(text: string): Outcome {
  return read([bytes(text)])
}

export function singly(text: string): Buffer[] {
  return Array.from(bytes(text), byte => Buffer.from([byte]))
}

/** Reads it whole, and in single bytes, which must be the same. */
export function readBoth(text: string): Outcome {
  const whole = readText(text)
  assert.deepEqual(read(singly(text)), whole, text)
  return whole
}

export function refused(text: string): void {
  const { failed, head } = readBoth(text)
  assert.ok(failed, JSON.stringify(text))
  assert.equal(head, null, JSON.stringify(text))
}

/** An answer of these lines, with a body of 2 bytes behind it. */
export function answer(...lines: string[]): string {
  return `HTTP/1.1 200 OK\r\n${lines.map(line => `${line}\r\n`).join('')}\r\nok`
}

export function headOf(text: string): AnswerHead {
  const { head } = readBoth(text)
  assert.ok(head !== null, JSON.stringify(text))
  return head
}

export const CHUNKED = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n'
