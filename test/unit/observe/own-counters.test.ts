import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Metrics } from '../../../proxy/observe/metrics.ts'
import { createCounter } from '../../../proxy/policy/counter.ts'

test('an interceptor counts, and the scrape shows it', t => {
  const metrics = new Metrics({ version: '1' })
  metrics.start()
  t.after(() => metrics.stop())
  const hits = createCounter('cache_hits_total', 'Answers from the cache.', ['server'])
  hits(1, 'a')
  hits(2, 'a')
  hits(5, 'b"c')
  const text = metrics.render()
  assert.match(
    text,
    /# HELP sluice_cache_hits_total Answers from the cache\.\n# TYPE sluice_cache_hits_total counter\n/,
  )
  assert.match(text, /\nsluice_cache_hits_total\{server="a"\} 3\n/)
  assert.match(text, /\nsluice_cache_hits_total\{server="b\\"c"\} 5\n/)
})

test('label values are bounded, and workers are summed', t => {
  const metrics = new Metrics({ version: '1', maxSeriesPerMetric: 3 })
  metrics.start()
  t.after(() => metrics.stop())
  const count = createCounter('x_total', 'x', ['tool'])
  for (let i = 0; i < 100; i++) count(1, `t${i}`)
  const lines = metrics.render().match(/^sluice_x_total\{.*$/gm) ?? []
  assert.equal(lines.length, 4)
  assert.ok(lines.includes('sluice_x_total{tool="other"} 97'))
  const twice = Metrics.merge([metrics.snapshot(), metrics.snapshot()])
  assert.match(Metrics.render(twice), /\nsluice_x_total\{tool="other"\} 194\n/)
})

test('names that no scraper takes are refused when the counter is made', () => {
  for (const name of ['Hits_total', 'hits', 'hits-total', '']) assert.throws(() => createCounter(name, ''), TypeError)
  assert.throws(() => createCounter('a_total', '', ['Server']), TypeError)
  assert.throws(() => createCounter('a_total', '', ['a', 'b', 'c', 'd', 'e']), TypeError)
  assert.throws(() => createCounter('a_total', '', ['a'])(1), TypeError)
})
