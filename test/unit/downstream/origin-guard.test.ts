import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OriginGuard, type OriginGuardOptions, type OriginVerdict } from '../../../proxy/downstream/origin-guard.ts'

function guard(options: Partial<OriginGuardOptions> = {}): OriginGuard {
  return new OriginGuard({ loopback: true, allowedHosts: [], allowedOrigins: [], ...options })
}

/** Twice, so that the kept verdict is tested too. */
function verdictOf(some: OriginGuard, host: string, origin: string): OriginVerdict {
  const first = some.check(host, origin)
  assert.equal(some.check(host, origin), first)
  return first
}

describe('OriginGuard: Host', () => {
  const loopback = [
    'localhost',
    'LocalHost:8080',
    'app.localhost:1',
    '127.0.0.1',
    '127.0.0.1:8080',
    '127.255.255.255',
    '[::1]',
    '[::1]:8080',
    'localhost.:80',
  ]
  const foreign = [
    '',
    'example.com',
    'localhost.example.com',
    'notlocalhost',
    '127.0.0.1.example.com',
    '127.0.0.256',
    '128.0.0.1',
    '10.0.0.1',
    '[::2]',
    '0.0.0.0',
    'localhost@example.com',
    'localhost:80:80',
    'localhost:abc',
    'localhost/x',
    'local host',
    'localhost, example.com',
    `${'a'.repeat(600)}.localhost`,
  ]

  it('a loopback listener answers for loopback names only', () => {
    for (const host of loopback) assert.equal(verdictOf(guard(), host, ''), 'ok', host)
    for (const host of foreign) assert.equal(verdictOf(guard(), host, ''), 'host_denied', host)
  })

  it('allowed_hosts adds names: with any port, with one port, or all below a name', () => {
    const some = guard({ allowedHosts: ['MCP.example.com', 'one.example.com:8443', '*.internal'] })
    for (const host of ['mcp.example.com', 'mcp.example.com:1', 'one.example.com:8443', 'a.b.internal', '127.0.0.1']) {
      assert.equal(verdictOf(some, host, ''), 'ok', host)
    }
    for (const host of ['x.mcp.example.com', 'one.example.com', 'one.example.com:80', 'internal', 'xinternal']) {
      assert.equal(verdictOf(some, host, ''), 'host_denied', host)
    }
  })

  it('another listener checks Host only when allowed_hosts says something', () => {
    assert.equal(verdictOf(guard({ loopback: false }), 'anything.example', ''), 'ok')
    const some = guard({ loopback: false, allowedHosts: ['mcp.example.com'] })
    assert.equal(verdictOf(some, 'mcp.example.com', ''), 'ok')
    assert.equal(verdictOf(some, 'localhost', ''), 'host_denied')
  })
})

describe('OriginGuard: Origin', () => {
  const local = [
    'http://localhost',
    'http://localhost:3000',
    'https://127.0.0.1:8443',
    'http://[::1]:5173',
    'http://app.localhost',
  ]
  const foreign = [
    'null',
    'https://example.com',
    'http://localhost.example.com',
    'http://localhost/path',
    'http://user@localhost',
    'file://',
    'ws://localhost',
    'chrome-extension://abcdef',
    'http://127.1',
    'localhost',
    'http://localhost http://localhost',
    'http://localhost:80/',
  ]

  it('a loopback listener takes loopback pages only', () => {
    for (const origin of local) assert.equal(verdictOf(guard(), 'localhost', origin), 'ok', origin)
    for (const origin of foreign) assert.equal(verdictOf(guard(), 'localhost', origin), 'origin_denied', origin)
  })

  it('another listener takes listed origins only', () => {
    const some = guard({
      loopback: false,
      allowedOrigins: ['https://App.example.com:443/', 'chrome-extension://abcdef'],
    })
    for (const origin of ['https://app.example.com', 'chrome-extension://abcdef']) {
      assert.equal(verdictOf(some, 'h', origin), 'ok', origin)
    }
    for (const origin of ['http://app.example.com', 'https://app.example.com:8443', 'http://localhost', 'null']) {
      assert.equal(verdictOf(some, 'h', origin), 'origin_denied', origin)
    }
  })

  it('a star takes every origin but null', () => {
    const some = guard({ loopback: false, allowedOrigins: ['*'] })
    assert.equal(verdictOf(some, 'h', 'https://any.example'), 'ok')
    assert.equal(verdictOf(some, 'h', 'null'), 'origin_denied')
  })

  it('names the origin for CORS only when it is allowed', () => {
    assert.equal(guard().corsOrigin('http://localhost:3000'), 'http://localhost:3000')
    assert.equal(guard().corsOrigin('https://example.com'), '')
    assert.equal(guard().corsOrigin(''), '')
  })
})
