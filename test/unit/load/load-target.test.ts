import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseTarget } from '../../../proxy/load/load-target.ts'

describe('the target of a load test', () => {
  it('is near when its address is loopback, private or link-local', () => {
    for (const host of [
      '127.0.0.1',
      '127.9.9.9',
      '10.1.2.3',
      '172.31.0.1',
      '192.168.1.1',
      '169.254.1.1',
      '[::1]',
      '[fd00::1]',
      '[fe80::1]',
      '[::ffff:10.0.0.1]',
    ]) {
      assert.equal(parseTarget(`http://${host}:8080/mcp`, [])?.isNear, true, host)
    }
    for (const host of ['8.8.8.8', '172.32.0.1', '192.169.0.1', '[2001:db8::1]', '[::ffff:8.8.8.8]', '11.0.0.1']) {
      assert.equal(parseTarget(`http://${host}/mcp`, [])?.isNear, false, host)
    }
  })

  it('is near by name only if everything the name resolves to is', () => {
    assert.equal(parseTarget('http://kb:8000/mcp', ['10.0.0.5'])?.isNear, true)
    assert.equal(parseTarget('http://kb:8000/mcp', ['10.0.0.5', '203.0.113.7'])?.isNear, false)
    assert.equal(parseTarget('http://kb:8000/mcp', [])?.isNear, false)
    assert.equal(parseTarget('http://127.0.0.1.example.com/', ['203.0.113.7'])?.isNear, false)
  })

  it('is an http or https URL without user and fragment', () => {
    for (const text of ['ftp://127.0.0.1/', 'x', 'http://u:p@127.0.0.1/', 'http://127.0.0.1/#x'])
      assert.equal(parseTarget(text, []), null)
  })
})
