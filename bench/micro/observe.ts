/**
 * What observation costs an exchange, in nanoseconds: one access line, one metrics record, one audit line.
 * Run: `node bench/micro/observe.ts`. Lines go to temporary files, so that the price of writing them is in it.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Exchange, Outcome } from '#api'
import { FileTarget } from '../../interceptors/audit/file-target.ts'
import { auditLine } from '../../interceptors/audit/line.ts'
import { LineFile } from '../../interceptors/audit/line-file.ts'
import { exchangeLine, startAccessLog } from '../../proxy/observe/access-log.ts'
import { channels, type ExchangeEnd } from '../../proxy/observe/channels.ts'
import { createLog } from '../../proxy/observe/log.ts'
import { Metrics } from '../../proxy/observe/metrics.ts'
import { allocatedBy } from '../lib/micro.ts'

const ROUNDS = 9
const EXCHANGES = 20_000
/** Between two breaks, so that background writes get their turn as they would under load. */
const BURST = 100

const folder = mkdtempSync(join(tmpdir(), 'sluice-bench-'))
const ends = Array.from({ length: 1024 }, (_unused, index) => makeEnd(index))

function makeEnd(index: number): ExchangeEnd {
  const outcome: Outcome = {
    status: 'ok',
    code: null,
    reason: '',
    httpStatus: 200,
    durationMs: 2.3 + (index % 97) / 31,
    upstreamMs: 2.1 + (index % 89) / 29,
    firstByteMs: 2 + (index % 83) / 29,
    bytesToServer: 300 + index,
    bytesToClient: 350 + index,
    messagesToClient: 1,
    replica: 'http://127.0.0.1:3001/mcp',
    verdicts: [],
    interceptorMicros: { audit: 0.4, access: 1.2 + (index % 7), 'noop#1': 0.8, 'noop#2': 0.9 },
    notes: {},
    withheld: '',
    withheldName: false,
  }
  return {
    id: `a81f-${index}`,
    server: 'demo',
    method: 'tools/call',
    name: `tool_${index % 12}`,
    client: `client-${index % 5}`,
    session: 's-4f2a91cc',
    startedAt: 1_790_000_000_000 + index * 7,
    era: 'modern',
    httpMethod: 'POST',
    outcome,
  }
}

function makeExchange(end: ExchangeEnd): Exchange {
  return { ...end, principal: { id: end.client, via: 'api-key' } } as unknown as Exchange
}

/** Median over the rounds: wall time of the calls themselves, and CPU time of the whole process, background writes too. */
async function measure(label: string, one: (end: ExchangeEnd) => void): Promise<void> {
  const wall: number[] = []
  const cpu: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage()
    let spent = 0n
    for (let done = 0; done < EXCHANGES; done += BURST) {
      const start = process.hrtime.bigint()
      for (let index = done; index < done + BURST; index++) one(ends[index & 1023] as ExchangeEnd)
      spent += process.hrtime.bigint() - start
      await new Promise(resolve => setTimeout(resolve, 0))
    }
    const used = process.cpuUsage(before)
    wall.push(Number(spent) / EXCHANGES)
    cpu.push(((used.user + used.system) * 1000) / EXCHANGES)
  }
  const bytes = allocatedBy(() => one(ends[0] as ExchangeEnd))
  console.log(
    `${label.padEnd(44)} ${ns(wall)} ns/op   ${ns(cpu)} ns CPU, all in   ${bytes.toFixed(0).padStart(6)} B/op`,
  )
}

function ns(values: number[]): string {
  return Math.round(values.toSorted((a, b) => a - b)[values.length >> 1] as number)
    .toString()
    .padStart(6)
}

function publish(end: ExchangeEnd): void {
  if (channels.exchangeEnd.hasSubscribers) channels.exchangeEnd.publish(end)
}

let kept = 0
await measure('nothing (the loop and its breaks)', () => kept++)
await measure('publish, nobody subscribed', publish)
await measure('access line, made only', end => {
  kept += exchangeLine(end, 'info').length
})
const log = createLog({ level: 'info', format: 'json', destination: join(folder, 'access.log') })
const stopLog = startAccessLog(log)
await measure('access line, published and written', publish)
stopLog()
const metrics = new Metrics({ version: '0.0.0' })
metrics.start()
await measure('metrics record, published', publish)
const start = performance.now()
const size = metrics.render().length
console.log(`metrics text: ${size} bytes in ${(performance.now() - start).toFixed(2)} ms`)
metrics.stop()
const exchanges = new Map(ends.map(end => [end, makeExchange(end)]))
await measure('audit line, made only', end => {
  kept += auditLine(exchanges.get(end) as Exchange, end.outcome, '').length
})
const onTrouble = (text: string) => console.error(text)
for (const [label, chainKey] of [
  ['audit line, written', null],
  ['audit line, chained and written', ''],
  ['audit line, chained with a key and written', 'a key of the benchmark alone'],
] as const) {
  const path = join(folder, `audit-${label.length}.log`)
  const target = new FileTarget({ path, chainKey, rotation: null, now: Date.now, onTrouble })
  const lostLine = (lines: number) => `{"lost":${lines}}\n`
  const file = new LineFile(target, { maxBytes: 16 * 1024 * 1024, onFull: 'drop', lostLine, onTrouble })
  await measure(label, end => {
    file.write(auditLine(exchanges.get(end) as Exchange, end.outcome, ''))
  })
  await file.close()
}
log.flush()
rmSync(folder, { recursive: true })
