import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatHostPort, isLoopback, parseHostPort } from '../../../proxy/base/host-port.ts'

describe('HOST:PORT', () => {
  const good: [string | number, string, number][] = [
    ['127.0.0.1:8080', '127.0.0.1', 8080],
    ['localhost:0', 'localhost', 0],
    ['[::1]:8080', '::1', 8080],
    ['[fe80::1%eth0]:1', 'fe80::1%eth0', 1],
    ['proxy.internal:443', 'proxy.internal', 443],
    ['9000', '127.0.0.1', 9000],
    [9000, '127.0.0.1', 9000],
  ]
  for (const [text, host, port] of good) {
    it(`${text} is good`, () => assert.deepEqual(parseHostPort(text), { host, port }))
  }
  for (const text of [
    '',
    'foo',
    ':8080',
    '::1:8080',
    '[::1]',
    'a:b',
    'a:65536',
    70000,
    -1,
    1.5,
    'http://a:80',
    'a b:1',
  ]) {
    it(`${text} is none`, () => assert.equal(parseHostPort(text), null))
  }

  it('has brackets where it needs them', () => {
    assert.equal(formatHostPort({ host: '::1', port: 80 }), '[::1]:80')
    assert.equal(formatHostPort({ host: 'a', port: 80 }), 'a:80')
  })

  it('knows loopback', () => {
    const hosts = ['127.0.0.1', '127.9.8.7', '::1', 'localhost', '0.0.0.0', '::', '127.0.0.1.example.com', '10.0.0.1']
    assert.deepEqual(hosts.map(isLoopback), [true, true, true, true, false, false, false, false])
  })
})
