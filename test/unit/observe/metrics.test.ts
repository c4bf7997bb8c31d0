import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import type { Outcome } from '#api'
import { Aggregate } from '../../../proxy/observe/aggregate.ts'
import { channels } from '../../../proxy/observe/channels.ts'
import { Metrics, type MetricsOptions } from '../../../proxy/observe/metrics.ts'
import { parseExposition, valueIn } from './exposition-parser.ts'
import { sampleEnd } from './samples.ts'

const running: Metrics[] = []

function started(options: Partial<MetricsOptions> = {}): Metrics {
  const metrics = new Metrics({ version: '1.2.3', ...options })
  metrics.start()
  running.push(metrics)
  return metrics
}

function stopped(worker: string, times: number): Metrics {
  const metrics = started({ worker })
  for (let i = 0; i < times; i++) channels.exchangeEnd.publish(sampleEnd())
  channels.exchangeStart.publish('demo')
  channels.reload.publish({ what: 'policy', ok: true, generation: 2, text: '' })
  metrics.stop()
  return metrics
}

function publish(changes: Parameters<typeof sampleEnd>[0], outcome: Partial<Outcome> = {}): void {
  channels.exchangeEnd.publish(sampleEnd(changes, outcome))
}

describe('metrics', () => {
  afterEach(() => {
    for (const metrics of running.splice(0)) metrics.stop()
  })

  test('a process that has seen nothing renders legal text', () => {
    const families = parseExposition(started().render())
    const labels = { version: '1.2.3', node: process.version }
    assert.equal(valueIn(families, 'sluice_build_info', labels), 1)
    assert.equal(valueIn(families, 'sluice_policy_reloads_total', { result: 'failure' }), 0)
    assert.ok(valueIn(families, 'process_resident_memory_bytes') > 1e6)
    assert.ok(valueIn(families, 'process_cpu_seconds_total') > 0)
  })

  test('an exchange feeds every metric that is about it', () => {
    const metrics = started()
    channels.exchangeStart.publish('demo')
    channels.exchangeStart.publish('demo')
    publish({}, { durationMs: 12.5, upstreamMs: 10, firstByteMs: 8, interceptorMicros: { audit: 40, access: 460 } })
    const families = parseExposition(metrics.render())
    const of = (name: string, labels: Record<string, string>): number => valueIn(families, name, labels)
    assert.equal(of('sluice_requests_total', { server: 'demo', method: 'tools/call', status: 'ok' }), 1)
    assert.equal(of('sluice_active_requests', { server: 'demo' }), 1)
    assert.equal(of('sluice_request_duration_seconds_sum', { server: 'demo', method: 'tools/call' }), 0.0125)
    assert.equal(of('sluice_tool_invocations_by_server_total', { server: 'demo', tool: 'echo' }), 1)
    assert.equal(of('sluice_tool_invocations_by_client_total', { client: 'alice' }), 1)
    assert.equal(of('sluice_tool_execution_duration_seconds_sum', { server: 'demo', tool: 'echo' }), 0.01)
    assert.equal(of('sluice_upstream_first_byte_seconds_sum', { server: 'demo' }), 0.008)
    assert.equal(of('sluice_interceptor_duration_seconds_count', { entry: 'audit' }), 1)
    assert.equal(of('sluice_bytes_total', { server: 'demo', direction: 'to_client' }), 400)
    const routing = of('sluice_gateway_routing_duration_seconds_sum', { server: 'demo' })
    assert.ok(Math.abs(routing - 0.002) < 1e-9, 'duration 12.5 ms, less upstream 10 ms, less interceptors 0.5 ms')
    const bucket = { server: 'demo', method: 'tools/call' }
    assert.equal(of('sluice_request_duration_seconds_bucket', { ...bucket, le: '0.01' }), 0)
    assert.equal(of('sluice_request_duration_seconds_bucket', { ...bucket, le: '0.025' }), 1)
    assert.equal(of('sluice_request_duration_seconds_bucket', { ...bucket, le: '0.00005' }), 0)
  })

  test('a duration on a bound falls into the bucket of that bound, and one beyond all into +Inf only', () => {
    const metrics = started()
    publish({}, { durationMs: 50 })
    publish({}, { durationMs: 400_000 })
    publish({}, { durationMs: -3, upstreamMs: 0 })
    const families = parseExposition(metrics.render())
    const at = (le: string): number =>
      valueIn(families, 'sluice_request_duration_seconds_bucket', { server: 'demo', method: 'tools/call', le })
    assert.deepEqual(['0.00005', '0.025', '0.05', '300', '+Inf'].map(at), [1, 1, 2, 2, 3])
  })

  test('tool errors carry a code; a client that left is none', () => {
    const metrics = started()
    publish({}, { status: 'tool_error' })
    publish({}, { status: 'error' })
    publish({}, { status: 'denied', code: 'access_denied' })
    publish({}, { status: 'failed', code: 'upstream_timeout' })
    publish({}, { status: 'aborted' })
    publish({}, { status: 'replied' })
    const errors = parseExposition(metrics.render()).get('sluice_tool_errors_total')
    const counts = Object.fromEntries(errors?.samples.map(sample => [sample.labels.code, sample.value]) ?? [])
    assert.deepEqual(counts, { tool_error: 1, upstream_error: 1, access_denied: 1, upstream_timeout: 1 })
  })

  test('verdicts count by entry, action and mode', () => {
    const metrics = started()
    const verdict = { kind: 'request', direction: 'toServer', code: null, reason: '' } as const
    const verdicts = [
      { ...verdict, entry: 'jq#2', mode: 'enforce', action: 'edit' },
      { ...verdict, entry: 'jq#2', mode: 'shadow', action: 'edit' },
      { ...verdict, entry: 'jq#2', mode: 'enforce', action: 'edit' },
    ] as const
    publish({}, { verdicts })
    const families = parseExposition(metrics.render())
    const of = (mode: string): number =>
      valueIn(families, 'sluice_interceptor_verdicts_total', { entry: 'jq#2', action: 'edit', mode })
    assert.deepEqual([of('enforce'), of('shadow')], [2, 1])
  })

  test('methods that nobody knows share one label, and no method can pose as a stream', () => {
    const metrics = started()
    for (let i = 0; i < 5000; i++) publish({ method: `x/${i}` })
    publish({ method: 'GET' })
    publish({ method: 'get_stream' })
    publish({ method: '', httpMethod: 'GET', name: '' })
    publish({ method: '', httpMethod: 'DELETE', name: '' })
    publish({ method: '', httpMethod: 'POST', name: '' })
    const requests = parseExposition(metrics.render()).get('sluice_requests_total')
    const counts = Object.fromEntries(requests?.samples.map(sample => [sample.labels.method, sample.value]) ?? [])
    assert.deepEqual(counts, { other: 5002, get_stream: 1, delete_session: 1, response: 1 })
  })

  test('invented tools and clients end in `other`, and leave room for tools that answer', () => {
    const metrics = started({ maxSeriesPerMetric: 20 })
    for (let i = 0; i < 500; i++) publish({ name: `t${i}`, client: `c${i}` }, { status: 'error' })
    publish({ name: 'real', client: 'c0' }, { status: 'ok' })
    publish({ name: 'real', client: 'late' }, { status: 'tool_error' })
    const families = parseExposition(metrics.render())
    for (const [name, family] of families) {
      const series = family.type === 'histogram' ? `${name}_count` : name
      const size = family.samples.filter(sample => sample.name === series).length
      assert.ok(size <= 21, `${name} has ${size} series`)
    }
    const tool = (name: string): number =>
      valueIn(families, 'sluice_tool_invocations_by_server_total', { server: 'demo', tool: name })
    assert.deepEqual([tool('t0'), tool('real')], [1, 2])
    assert.equal(tool('other'), 490)
    assert.equal(valueIn(families, 'sluice_tool_invocations_by_client_total', { client: 'other' }), 481)
  })

  test('hostile label values stay one legal label', () => {
    const metrics = started()
    const name = 'a"b\\c\nd{e="f"} 1'
    publish({ name })
    publish({ name: 'z'.repeat(100_000) })
    const text = metrics.render()
    const families = parseExposition(text)
    assert.equal(valueIn(families, 'sluice_tool_invocations_by_server_total', { server: 'demo', tool: name }), 1)
    assert.ok(text.length < 40_000)
  })

  test('refusals, reloads and the generation come from their channels', () => {
    const metrics = started({ activeServers: () => 3 })
    channels.refusal.publish({ code: 'host_denied', status: 403, reason: 'no' })
    channels.reload.publish({ what: 'policy', ok: true, generation: 4, text: '' })
    channels.reload.publish({ what: 'policy', ok: false, generation: 4, text: 'bad' })
    channels.reload.publish({ what: 'tls', ok: false, generation: 0, text: 'bad' })
    const families = parseExposition(metrics.render())
    assert.equal(valueIn(families, 'sluice_refusals_total', { code: 'host_denied' }), 1)
    assert.equal(valueIn(families, 'sluice_policy_reloads_total', { result: 'success' }), 1)
    assert.equal(valueIn(families, 'sluice_policy_reloads_total', { result: 'failure' }), 1)
    assert.equal(valueIn(families, 'sluice_config_reloads_total', { what: 'tls', result: 'failure' }), 1)
    assert.equal(valueIn(families, 'sluice_policy_generation'), 4)
    assert.equal(valueIn(families, 'sluice_active_mcp_servers'), 3)
  })

  test('nobody is subscribed before start and after stop', () => {
    assert.equal(channels.exchangeEnd.hasSubscribers, false)
    const metrics = started()
    metrics.start()
    assert.equal(channels.exchangeEnd.hasSubscribers, true)
    metrics.stop()
    for (const channel of Object.values(channels)) assert.equal(channel.hasSubscribers, false)
  })
})

describe('metrics of several workers', () => {
  test('add up, except what is the same everywhere; process metrics stay apart', () => {
    const snapshots = [stopped('1', 2), stopped('2', 3)].map(metrics => structuredClone(metrics.snapshot()))
    const families = parseExposition(Metrics.render(Metrics.merge(JSON.parse(JSON.stringify(snapshots)))))
    const of = (name: string, labels: Record<string, string> = {}): number => valueIn(families, name, labels)
    assert.equal(of('sluice_requests_total', { server: 'demo', method: 'tools/call', status: 'ok' }), 5)
    assert.equal(of('sluice_active_requests', { server: 'demo' }), 2)
    assert.equal(of('sluice_request_duration_seconds_count', { server: 'demo', method: 'tools/call' }), 5)
    assert.equal(of('sluice_policy_generation'), 2)
    assert.equal(of('sluice_policy_reloads_total', { result: 'success' }), 1)
    assert.ok(of('process_resident_memory_bytes', { worker: '1' }) > 0)
    assert.ok(of('process_resident_memory_bytes', { worker: '2' }) > 0)
  })

  test('counters do not fall when a worker ends or begins again', () => {
    const aggregate = new Aggregate()
    aggregate.update(stopped('1', 2).snapshot())
    aggregate.update(stopped('2', 3).snapshot())
    const ok = { server: 'demo', method: 'tools/call', status: 'ok' }
    const requests = (): number => valueIn(parseExposition(aggregate.render()), 'sluice_requests_total', ok)
    assert.equal(requests(), 5)
    aggregate.retire('2')
    assert.equal(requests(), 5)
    aggregate.update(stopped('2', 1).snapshot())
    assert.equal(requests(), 6)
    const families = parseExposition(aggregate.render())
    assert.equal(valueIn(families, 'sluice_active_requests', { server: 'demo' }), 2, 'a gauge goes with its worker')
    aggregate.retire('nobody')
    assert.equal(requests(), 6)
  })
})
