import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createParser } from 'eventsource-parser'
import fc from 'fast-check'
import { rebuildEvent, SseSplitter } from '../../../proxy/message/sse.ts'
import { cut, Recorder, referenceEvents, type SeenEvent } from './sse-reference.ts'

const MAX = 1 << 20

function split(chunks: readonly Buffer[], max = MAX): { events: SeenEvent[]; leftover: string; oversize: number } {
  const splitter = new SseSplitter(max)
  const recorder = new Recorder()
  for (const chunk of chunks) splitter.push(chunk, recorder)
  splitter.finish(recorder)
  return { events: recorder.events, leftover: splitter.leftover().toString('latin1'), oversize: recorder.oversize }
}

/** Moves an LF that a cut tore from its CR back to where it belongs. */
function healed(found: { events: SeenEvent[]; leftover: string }): { events: SeenEvent[]; leftover: string } {
  const events = found.events.map(event => ({ ...event }))
  let leftover = found.leftover
  for (const [index, event] of events.entries()) {
    const next = events[index + 1]?.raw ?? leftover
    if (!event.raw.endsWith('\r') || !next.startsWith('\n')) continue
    event.raw += '\n'
    const following = events[index + 1]
    if (following === undefined) leftover = next.slice(1)
    else following.raw = next.slice(1)
  }
  return { events, leftover }
}

const line = fc.oneof(
  fc.constantFrom(
    'data: {"a":1}',
    'data:{"b":"é日"}',
    'data',
    'data:',
    'data: ',
    'data:  x',
    'dataX: 1',
    'Data: 1',
    'dat',
  ),
  fc.constantFrom(
    '',
    '',
    ':',
    ': comment',
    'id: 7',
    'id',
    'id:',
    'id: a\0b',
    'event: message',
    'event: endpoint',
    'event:',
  ),
  fc.constantFrom('retry: 100', 'retry', 'unknown: x', '\ufeffdata: bom', ` data: ${'x'.repeat(70)}`),
  fc.string({ minLength: 20, maxLength: 120 }).map(text => `data: ${text.replace(/[\r\n]/g, ' ')}`),
  fc.string({ maxLength: 12 }).map(text => text.replace(/[\r\n]/g, '')),
)
const stream = fc
  .tuple(fc.boolean(), fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n', '\r')), { maxLength: 24 }), line)
  .map(([bom, lines, last]) => Buffer.from((bom ? '\ufeff' : '') + lines.flat().join('') + last))
const places = fc.array(fc.nat(), { maxLength: 12 })

test('agrees with the reference, cut anywhere', () => {
  fc.assert(
    fc.property(stream, places, (bytes, cuts) => {
      const found = split(cut(bytes, cuts))
      assert.deepEqual(healed(found), referenceEvents(bytes))
    }),
    { numRuns: 3000 },
  )
})

test('agrees with the reference on every cut in two and in single bytes', () => {
  const bytes = Buffer.from(
    '\ufeffid: 1\r\ndata: \r\n\r\n: ping\n\nevent: message\r\ndata: {"x":"日本"}\r\n\r\ndata: a\rdata\rdata: b\r\rdata: {"long":"0123456789012345678901234567890123456789"}\n\ndata: unfinished',
  )
  const expected = referenceEvents(bytes)
  assert.equal(expected.events.length, 5)
  for (let i = 0; i <= bytes.length; i++) assert.deepEqual(healed(split(cut(bytes, [i]))), expected)
  assert.deepEqual(healed(split(cut(bytes, Array.from(bytes.keys())))), expected)
})

test('keeps every byte: raws and leftover are the stream', () => {
  fc.assert(
    fc.property(stream, places, (bytes, cuts) => {
      const { events, leftover } = split(cut(bytes, cuts))
      assert.equal(events.map(event => event.raw).join('') + leftover, bytes.toString('latin1'))
    }),
    { numRuns: 500 },
  )
})

test('agrees with eventsource-parser on data, type and id', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(line, fc.constantFrom('\n', '\r\n')), { maxLength: 16 }), places, (lines, cuts) => {
      const bytes = Buffer.from(lines.flat().join(''))
      const theirs: (string | undefined)[][] = []
      const parser = createParser({
        onEvent: event => void theirs.push([event.data, event.event ?? 'message', event.id]),
      })
      parser.feed(new TextDecoder().decode(bytes))
      const ours = split(cut(bytes, cuts)).events.filter(event => event.data !== null)
      assert.deepEqual(
        ours.map(event => [event.data, event.eventType]),
        theirs.filter(([data]) => data !== '').map(([data, type]) => [data, type]),
      )
    }),
    { numRuns: 500 },
  )
})

test('an event within one chunk is a view, and so is its data', () => {
  const chunk = Buffer.from('data: {"a":1}\n\nid: 3\ndata: {"b":2}\n\n')
  let seen = 0
  new SseSplitter(MAX).push(chunk, {
    onEvent(raw, data) {
      assert.equal(raw.buffer, chunk.buffer)
      assert.equal(data?.buffer, chunk.buffer)
      seen++
    },
    onOversize: () => assert.fail(),
  })
  assert.equal(seen, 2)
})

test('events already handed out stay as they are', () => {
  const kept: Buffer[] = []
  const splitter = new SseSplitter(MAX)
  const sink = { onEvent: (raw: Buffer) => void kept.push(raw), onOversize: () => assert.fail() }
  for (let i = 0; i < 50; i++) {
    splitter.push(Buffer.from(`data: ${i}`), sink)
    splitter.push(Buffer.from('\n'), sink)
    splitter.push(Buffer.from('\n'), sink)
  }
  assert.equal(kept.map(String).join(''), Array.from({ length: 50 }, (_, i) => `data: ${i}\n\n`).join(''))
})

test('hands out an event at its last byte', () => {
  for (const end of ['\n\n', '\r\r', '\r\n\r']) {
    assert.equal(split([Buffer.from(`data: x${end}`)]).events.length, 1, JSON.stringify(end))
    assert.equal(split([Buffer.from(`data: x${end.slice(0, -1)}`)]).events.length, 0)
  }
})

test('stops at an oversized event, in one chunk or in many', () => {
  const text = `data: a\n\ndata: ${'x'.repeat(100)}\n\ndata: b\n\n`
  for (const chunks of [
    [Buffer.from(text)],
    cut(Buffer.from(text), [12, 40, 80]),
    cut(
      Buffer.from(text),
      [...text].map((_, i) => i),
    ),
  ]) {
    const found = split(chunks, 50)
    assert.equal(found.oversize, 1)
    assert.equal(found.events.length, 1)
    assert.ok(found.leftover.startsWith('data: xxx'))
  }
})

test('an endless event is never held beyond the limit', () => {
  const splitter = new SseSplitter(1000)
  const recorder = new Recorder()
  for (let i = 0; i < 1000; i++) splitter.push(Buffer.alloc(64, 0x61), recorder)
  assert.equal(recorder.oversize, 1)
  assert.ok(splitter.leftover().length < 1100)
})

test('passes an oversized event in parts where the sink takes them, and goes on behind it', () => {
  const big = `id: 9\r\ndata: ${'x'.repeat(90)}\r\n: c\r\n\r\n`
  const text = `data: a\n\n${big}data: b\n\n${big}data: c\n\n`
  fc.assert(
    fc.property(places, cuts => {
      const seen: string[] = []
      const sink = {
        onEvent: (raw: Buffer) => void seen.push(`event ${raw}`),
        onOversize: () => void seen.push('oversize'),
        onPart: (bytes: Buffer) => void seen.push(bytes.toString()),
      }
      const splitter = new SseSplitter(50)
      for (const chunk of cut(Buffer.from(text), cuts)) splitter.push(chunk, sink)
      assert.equal(splitter.leftover().length, 0)
      assert.equal(seen.filter(entry => entry === 'oversize').length, 2)
      assert.equal(seen.filter(entry => entry.startsWith('event ')).length, 3)
      assert.equal(seen.map(entry => (entry === 'oversize' ? '' : entry.replace('event ', ''))).join(''), text)
    }),
    { numRuns: 500 },
  )
})

test('a CR-only stream without any LF costs no more than others', () => {
  const splitter = new SseSplitter(MAX)
  const recorder = new Recorder()
  splitter.push(Buffer.from(`data: ${'x'.repeat(40)}\r\r`.repeat(20_000)), recorder)
  assert.equal(recorder.events.length, 20_000)
})

test('rebuilds an event around new data', () => {
  const rebuild = (raw: string, data: string): string => rebuildEvent(Buffer.from(raw), Buffer.from(data)).toString()
  assert.equal(rebuild('data: {"a":1}\n\n', '{}'), 'data: {}\n\n')
  assert.equal(
    rebuild(': c\r\nid: 1\r\nevent: message\r\ndata:{"a":1}\r\nretry: 5\r\nx\r\n\r\n', '{"b":2}'),
    ': c\r\nid: 1\r\nevent: message\r\ndata: {"b":2}\r\nretry: 5\r\nx\r\n\r\n',
  )
  assert.equal(rebuild('data: {\ndata: "a":1}\nid: 2\n\n', '{}'), 'data: {}\nid: 2\n\n')
  assert.equal(rebuild('data: x\r\r', '{\n "a": 1\r\n}'), 'data: {\rdata:  "a": 1\rdata: }\r\r')
  assert.equal(rebuild('\ufeffdata: x\n\n', '{}'), '\ufeffdata: {}\n\n')
  assert.equal(rebuild('\ndata: x\r\n\r', '{}'), '\ndata: {}\r\n\r')
  assert.equal(rebuild('data: x\nretry: 1\rdata: y\n\n', '{}'), 'data: {}\nretry: 1\r\r\n')
  assert.equal(rebuild('id: 4\n\n', '{}'), 'id: 4\ndata: {}\n\n')
})

test('a rebuilt event parses to the new data and the same rest', () => {
  fc.assert(
    fc.property(stream, fc.json(), (bytes, json) => {
      for (const event of referenceEvents(bytes).events) {
        const [again, ...none] = referenceEvents(
          rebuildEvent(Buffer.from(event.raw, 'latin1'), Buffer.from(json)),
        ).events
        assert.equal(none.length, 0)
        assert.deepEqual({ ...again, raw: '' }, { ...event, raw: '', data: json })
      }
    }),
    { numRuns: 500 },
  )
})
