/** Streams of events: cut into events, and watched for their last id: `node bench/micro/sse.ts`. Costs are those of one event. */
import { SseSplitter, StreamTail } from '../../proxy/message/sse.ts'
import { measure, type OperationCost, printCost } from '../lib/micro.ts'

class Counter {
  events = 0
  bytes = 0
  onEvent(raw: Buffer): void {
    this.events++
    this.bytes += raw.length
  }
  onOversize(): void {
    this.events = Number.NaN
  }
}

const CHUNK_BYTES = 60_000

for (const size of [100, 1000, 20_000]) {
  const data = `{"jsonrpc":"2.0","method":"notifications/message","params":{"data":"${'x'.repeat(size)}"}}`
  const event = `event: message\nid: 7\ndata: ${data}\n\n`
  const count = Math.max(4, Math.floor(CHUNK_BYTES / event.length))
  const chunk = Buffer.from(event.repeat(count))
  const counter = new Counter()
  const splitter = new SseSplitter(1 << 20)
  const split = measure(() => splitter.push(chunk, counter))
  if (Number.isNaN(counter.events)) throw new Error('an event was taken for one that is too large')
  printCost(`SseSplitter, event of ${size}`, perEvent(split, count), event.length)
  const tail = new StreamTail()
  const watched = measure(() => tail.push(chunk))
  printCost(`StreamTail, event of ${size}`, perEvent(watched, count), event.length)
}

function perEvent({ nanos, bytes }: OperationCost, count: number): OperationCost {
  return { nanos: nanos / count, bytes: bytes / count }
}
