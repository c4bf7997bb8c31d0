import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Outcome } from '#api'
import { ToolTable } from '../../../proxy/chain/tool-table.ts'
import { Capture, type CaptureSpec, exchangeLine } from '../../../proxy/shadow/capture.ts'
import { compareWithCorpus, recordingOf } from '../../../proxy/shadow/from-corpus.ts'
import type { Recording } from '../../../proxy/shadow/recording.ts'
import { sampleRecording } from './samples.ts'

const SPEC: CaptureSpec = {
  max: 2,
  max_bytes: 100_000,
  for_ms: 60_000,
  sample: 1,
  servers: [],
  tools: [],
  values: 'redacted',
  hash_key: '',
}
const TOOLS = new ToolTable()
const SECRET = 'AKIAQQQQ'

function line(recording: Recording, values: CaptureSpec['values'] = 'redacted') {
  return exchangeLine(recording, { ...SPEC, values, hash_key: 'k' }, TOOLS)
}

function withheld(more: Partial<Outcome>): Recording {
  const recording = sampleRecording({ name: 'get', arguments: { [SECRET]: SECRET } })
  return { ...recording, outcome: { ...recording.outcome, ...more } }
}

async function read(capture: Capture): Promise<Record<string, Record<string, unknown>>[]> {
  const seen = []
  for await (const text of capture.lines(new AbortController().signal)) seen.push(JSON.parse(text))
  return seen
}

describe('a capture', () => {
  it('ends when it has enough, and tells what it lost', async () => {
    const capture = new Capture(SPEC, TOOLS)
    const lines = read(capture)
    capture.take(null)
    for (let i = 0; i < 4; i++) capture.take(sampleRecording({ name: 'get' }))
    const seen = await lines
    assert.deepEqual(
      seen.map(one => Object.keys(one)[0]),
      ['begin', 'exchange', 'exchange', 'end'],
    )
    assert.deepEqual(seen.at(-1)?.end, { captured: 2, lost: 1, why: 'max is reached' })
    assert.equal(capture.wants({} as never), false)
  })

  it('ends before it is larger than allowed', async () => {
    const capture = new Capture({ ...SPEC, max_bytes: 10 }, TOOLS)
    const lines = read(capture)
    capture.take(sampleRecording({ name: 'get' }))
    assert.deepEqual((await lines).at(-1)?.end, { captured: 0, lost: 0, why: 'max_bytes is reached' })
  })

  it('keeps nothing that must not be recorded, whatever was asked for', () => {
    for (const values of ['redacted', 'hashed', 'encrypted'] as const) {
      const text = JSON.stringify(line(withheld({ withheld: 'secret-scan found a secret' }), values))
      assert.doesNotMatch(text, new RegExp(SECRET), values)
    }
    assert.throws(() => line(withheld({ withheld: 'x', withheldName: true })), /its name must not be recorded/)
    assert.match(JSON.stringify(line(withheld({}), 'encrypted')), new RegExp(SECRET))
  })

  it('keeps no credential of a header', () => {
    const kept = line({ ...sampleRecording({ name: 'get' }), headers: ['X-Team', 'blue', 'Accept', 'a/b'] })
    assert.deepEqual(kept.headers, ['X-Team', 'xxxx', 'Accept', 'a/b'])
  })

  it('gives back what it kept', () => {
    const recording = sampleRecording({ name: 'get', arguments: { who: 'me' } })
    const back = recordingOf(line(recording, 'encrypted'))
    assert.deepEqual(back.request, recording.request)
    assert.deepEqual(back.answer?.body, recording.answer?.body)
    assert.equal(back.name, 'get')
    const run = { recording: back, lacksAnswer: false, asked: false }
    assert.equal(compareWithCorpus(line(recording, 'encrypted'), back, run).outcome, 'same')
  })

  it('says what is wrong with the question', () => {
    assert.throws(() => Capture.parse({ ...SPEC, max: 0 }), /max: /)
  })
})
