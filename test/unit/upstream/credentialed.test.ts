import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SluiceError } from '../../../proxy/api/index.ts'
import { CredentialTable, type ShownValues } from '../../../proxy/credentials/shown.ts'
import { CredentialedUpstream } from '../../../proxy/upstream/credentialed.ts'
import { CREDENTIAL_WAIT_MS } from '../../../proxy/upstream/credentialed-call.ts'
import type { Flow, Upstream, UpstreamRequest, UpstreamSink } from '../../../proxy/upstream/upstream.ts'
import { TICK_MS, watchdog } from '../../../proxy/upstream/watchdog.ts'

const REQUEST: UpstreamRequest = {
  method: 'POST',
  headers: ['accept', '*/*', 'authorization', 'theirs', 'x-a', '1'],
  body: Buffer.from('{}'),
  query: '',
  lane: 'call',
  replica: '',
  client: 'agent',
  idleTimeoutMs: 0,
  firstByteTimeoutMs: 0,
  repeatable: false,
  reads: false,
  tool: 'x',
  rpc: 'tools/call',
  hashKey: () => 'key',
}

/** A server that answers when the test says so. */
class Inner implements Upstream {
  readonly ready = true
  readonly sent: { request: UpstreamRequest; sink: UpstreamSink; told: string[] }[] = []

  send(request: UpstreamRequest, sink: UpstreamSink): void {
    const told: string[] = []
    this.sent.push({ request, sink, told })
    sink.onFlow({ pause: () => told.push('pause'), resume: () => told.push('resume'), abort: () => told.push('abort') })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  shown(index = -1): string | undefined {
    const { headers } = (this.sent.at(index) as (typeof this.sent)[0]).request
    return headers[headers.indexOf('authorization') + 1]
  }
}

class Sink implements UpstreamSink {
  flow: Flow | null = null
  readonly told: string[] = []
  onFlow(flow: Flow): void {
    assert.equal(this.flow, null, 'once')
    this.flow = flow
  }
  onHead(status: number): void {
    this.told.push(`head ${status}`)
  }
  onData(chunk: Buffer): void {
    this.told.push(`data ${chunk}`)
  }
  onEnd(): void {
    this.told.push('end')
  }
  onFail(error: SluiceError): void {
    this.told.push(`${error.code}: ${error.message}`)
  }
  onSecret(name: string, usedFor: string): void {
    this.told.push(`${name} for ${usedFor}`)
  }
}

const values = (more: Partial<ShownValues> = {}): ShownValues => ({
  ...{ server: 's', client: '', fields: ['authorization', 'Bearer 1'], uses: ['gh', 'upstream'], version: 1 },
  ...{ expiresAt: null, renewable: true, coming: false, reason: '', retryAt: 0, authorizes: true },
  ...more,
})

function setUp(first: Partial<ShownValues>, renews = true) {
  const asked: number[] = []
  const table = new CredentialTable((_server, _client, version) => asked.push(version) > 0 && renews)
  const put = (more: Partial<ShownValues>): void => table.replace([values(more)])
  put(first)
  const inner = new Inner()
  const upstream = new CredentialedUpstream(inner, 's', table.server('s'))
  const send = (): Sink => {
    const sink = new Sink()
    upstream.send(REQUEST, sink)
    return sink
  }
  return { asked, put, inner, upstream, send, table }
}

/** Lets the time of waiting calls pass. */
function pass(ms: number): void {
  for (let i = 0; i <= ms / TICK_MS + 1; i++) watchdog.sweep()
}

describe('a request that shows a credential', () => {
  it('carries it in place of fields of the same name, and is itself not changed', () => {
    const { inner, send } = setUp({ renewable: false })
    const before = [...REQUEST.headers]
    const sink = send()
    assert.deepEqual(inner.sent[0]?.request.headers, ['accept', '*/*', 'x-a', '1', 'authorization', 'Bearer 1'])
    assert.deepEqual(REQUEST.headers, before)
    assert.deepEqual(sink.told, ['gh for upstream'])
    const { request } = inner.sent[0] as (typeof inner.sent)[0]
    assert.deepEqual(
      [request.tool, request.hashKey({} as never), request.reads, request.client],
      ['x', 'key', false, 'agent'],
    )
  })

  it('goes as it is where nothing is configured', () => {
    const { inner, table } = setUp({})
    const sink = new Sink()
    new CredentialedUpstream(inner, 'other', table.server('other')).send(REQUEST, sink)
    assert.equal(inner.sent[0]?.request, REQUEST)
    assert.equal(inner.sent[0]?.sink, sink)
  })

  it('waits for one on its way, and is sent with it', () => {
    const { inner, put, send } = setUp({ fields: null, coming: true })
    const sink = send()
    sink.flow?.pause()
    assert.equal(inner.sent.length, 0)
    put({ version: 2, fields: ['authorization', 'Bearer 2'] })
    assert.equal(inner.shown(), 'Bearer 2')
    assert.deepEqual(inner.sent[0]?.told, ['pause'])
  })

  it('does not wait for ever', () => {
    const { inner, put, send } = setUp({ fields: null, coming: true })
    const sink = send()
    pass(CREDENTIAL_WAIT_MS)
    assert.deepEqual(sink.told, ['credential_unavailable: No credential found for s'])
    put({ version: 2 })
    assert.equal(inner.sent.length, 0)
  })

  it('is forgotten when its sender leaves', () => {
    const { inner, put, send } = setUp({ fields: null, coming: true })
    const sink = send()
    sink.flow?.abort()
    put({ version: 2 })
    pass(CREDENTIAL_WAIT_MS)
    assert.deepEqual([inner.sent.length, sink.told], [0, []])
  })

  it('asks for a newer one when its time is over', () => {
    const { inner, put, send, asked } = setUp({ expiresAt: 1 })
    const sink = send()
    assert.deepEqual([inner.sent.length, asked], [0, [1]])
    put({ version: 2, fields: ['authorization', 'Bearer 2'] })
    assert.deepEqual([inner.shown(), sink.told], ['Bearer 2', ['gh for upstream']])
  })

  it('fails at once when none will come', () => {
    const { send } = setUp({ fields: null, reason: 'Credential expired for s' }, false)
    assert.deepEqual(send().told, ['credential_unavailable: Credential expired for s'])
  })

  it('is sent again, once, with a newer one when the server refuses it; only the second answer is heard', () => {
    const { inner, put, send, asked } = setUp({})
    const sink = send()
    const [first] = inner.sent
    first?.sink.onHead(401, [], 'r')
    assert.deepEqual([first?.told, asked], [['abort'], [1]])
    put({ version: 2, fields: ['authorization', 'Bearer 2'] })
    const second = inner.sent[1] as (typeof inner.sent)[0]
    assert.equal(inner.shown(), 'Bearer 2')
    assert.deepEqual(second.request.body, REQUEST.body)
    second.sink.onHead(200, [], 'r')
    second.sink.onData(Buffer.from('x'))
    second.sink.onEnd()
    assert.deepEqual(sink.told, ['gh for upstream', 'gh for upstream', 'head 200', 'data x', 'end'])
  })

  it('takes at once the newer one that came meanwhile', () => {
    const { inner, put, send, asked } = setUp({})
    send()
    put({ version: 2, fields: ['authorization', 'Bearer 2'] })
    inner.sent[0]?.sink.onHead(401, [], 'r')
    assert.deepEqual([inner.shown(), asked], ['Bearer 2', []])
  })

  it('is refused for good by a second 401', () => {
    const { inner, put, send } = setUp({})
    const sink = send()
    inner.sent[0]?.sink.onHead(401, [], 'r')
    put({ version: 2 })
    inner.sent[1]?.sink.onHead(401, [], 'r')
    assert.deepEqual([inner.sent.length, sink.told.at(-1)], [2, 'head 401'])
  })

  it('ends with the refusal when no newer one comes', () => {
    for (const renews of [true, false]) {
      const { inner, put, send } = setUp({}, renews)
      const sink = send()
      inner.sent[0]?.sink.onHead(401, [], 'r')
      if (renews) put({})
      assert.equal(sink.told.at(-1), 'upstream_unauthorized: s refused the credentials of the proxy (HTTP 401)')
    }
  })

  it("hears of other failures as they are, and passes its sender's wishes on", () => {
    const { inner, send } = setUp({})
    const sink = send()
    sink.flow?.pause()
    sink.flow?.resume()
    inner.sent[0]?.sink.onHead(403, [], 'r')
    inner.sent[0]?.sink.onFail(new SluiceError('upstream_broken', 'broke'))
    sink.flow?.abort()
    assert.deepEqual(inner.sent[0]?.told, ['pause', 'resume', 'abort'])
    assert.deepEqual(sink.told.slice(1), ['head 403', 'upstream_broken: broke'])
  })
})
