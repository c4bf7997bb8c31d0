import { Envelope } from '../../message/envelope.ts'
import { errorAnswer } from '../../message/jsonrpc.ts'
import { scan, scanBatch } from '../../message/scan.ts'
import type { ScanFault } from '../../message/scan-fault.ts'
import { Call } from './call.ts'
import type { Exchange, ExchangeOwner } from './http/exchange.ts'
import type { Session } from './session.ts'
import { MAX_BATCH, MAX_DEPTH } from './wire.ts'

/** A batch of a client (2025-03-26): each message on a line of its own, the answers as events of one stream. */
export class BatchExchange implements ExchangeOwner {
  private readonly exchange: Exchange
  private readonly session: Session
  private readonly calls: Call[]

  constructor(exchange: Exchange, session: Session) {
    this.exchange = exchange
    this.session = session
    this.calls = []
    exchange.owner = this
  }

  run(body: Buffer): void {
    const exchange = this.exchange
    const session = this.session
    session.lastUsedMs = exchange.startedMs
    const items = scanBatch(body, MAX_DEPTH, MAX_BATCH)
    if (!Array.isArray(items)) return exchange.whole(400, errorAnswer('', items.code, items.text, null, false))
    const faults: ScanFault[] = []
    for (const { start, end } of items) {
      const one = body.subarray(start, end)
      const envelope = scan(one, MAX_DEPTH)
      if (!(envelope instanceof Envelope)) faults.push(envelope)
      else if (envelope.kind === 'request') this.calls.push(new Call(exchange, session, envelope, one, false))
      else session.take(envelope, one)
    }
    exchange.open = this.calls.length + faults.length
    if (exchange.open === 0) return exchange.empty(202)
    for (const { code, text, idText } of faults) exchange.answer(400, errorAnswer(idText, code, text, null, false))
    for (const call of this.calls) {
      if (call.method === 'initialize') call.refuse('invalid_request', 'initialize must not be part of a batch')
      else session.run(call)
    }
  }

  onGone(): void {
    for (const call of this.calls) call.onGone()
  }

  onDrain(): void {
    for (const call of this.calls) call.onDrain()
  }
}
