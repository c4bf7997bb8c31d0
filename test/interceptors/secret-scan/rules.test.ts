import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { options } from '../../../interceptors/secret-scan/options.ts'
import { ALL_RULES } from '../../../interceptors/secret-scan/rules/all.ts'
import { SecretScanner } from '../../../interceptors/secret-scan/scanner.ts'
import { readSamples } from './samples.ts'

const CLOCK = { now: () => 0, monotonic: () => 0 }
const scanner = new SecretScanner(options.parse({}), [], CLOCK)
const samples = readSamples()

/** Ids of the rules that find something in a text, as the argument of a call. */
function found(text: string): string[] {
  const message = { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name: 't', arguments: { q: text } } }
  const bytes = Buffer.from(JSON.stringify(message))
  const { findings, truncated } = scanner.scan(bytes, 'toServer', 't', null)
  assert.equal(truncated, '')
  if (findings.length > 0) assert.ok(scanner.suspects(bytes), 'the look at raw bytes misses what is there')
  return findings.map(finding => finding.rule.id)
}

/** What a text may be wrapped in. */
const WRAPS: Readonly<Record<string, (text: string) => string>> = {
  'as it is': text => text,
  'quoted, on a line of its own': text => `value = "${text}"\nnext`,
  'JSON in a string': text => JSON.stringify({ v: `a\n${text}\nb` }),
  'JSON in JSON in a string': text => JSON.stringify({ w: JSON.stringify([`${text}\n`]) }),
  base64: text => Buffer.from(`some text before\n${text}\nand after it`).toString('base64'),
  base64url: text => Buffer.from(`some text before\n${text}\nand after it`).toString('base64url'),
  'base64, wrapped': text =>
    Buffer.from(`some text before\n${text}\nand after it`).toString('base64').replace(/.{76}/g, '$&\r\n'),
  'URL-encoded': text => `https://h/?q=${encodeURIComponent(`x\n${text}\n`)}`,
}

describe('the rules', () => {
  it('are at least 150, each of its own name', () => {
    assert.ok(ALL_RULES.length >= 150, String(ALL_RULES.length))
    assert.equal(new Set(ALL_RULES.map(rule => rule.id)).size, ALL_RULES.length)
  })

  it('have keywords that no encoder of JSON or URLs escapes, and no inline flags', () => {
    for (const { id, keywords, pattern } of ALL_RULES) {
      assert.ok(keywords.length > 0, id)
      for (const keyword of keywords) assert.match(keyword, /^[a-z0-9_.~-]{2,}$/, id)
      // V8 loses case-insensitivity of a class inside (?i:…).
      assert.doesNotMatch(pattern, /\(\?[imsx-]+:/, id)
    }
  })

  it('have bounded repetitions only', () => {
    for (const { id, pattern } of ALL_RULES) {
      assert.doesNotMatch(pattern.replace(/\\.|\[[^\]]*\]/g, 'x'), /[*+]|\{\d+,\}/, id)
    }
  })

  it('have two positives and two near misses each', () => {
    assert.deepEqual(samples.map(({ rule }) => rule).toSorted(), ALL_RULES.map(({ id }) => id).toSorted())
    for (const { rule, positives, negatives } of samples) {
      assert.ok(positives.length >= 2 && negatives.length >= 2, `${rule}: too few samples`)
    }
  })
})

describe('every positive is found', () => {
  for (const [wrap, wrapped] of Object.entries(WRAPS)) {
    it(wrap, () => {
      for (const { rule, positives } of samples) {
        for (const text of positives) assert.ok(found(wrapped(text)).includes(rule), `${rule} misses ${wrapped(text)}`)
      }
    })
  }
})

describe('no near miss is found', () => {
  for (const [wrap, wrapped] of Object.entries(WRAPS)) {
    it(wrap, () => {
      for (const { rule, negatives } of samples) {
        for (const text of negatives) assert.deepEqual(found(wrapped(text)), [], `${rule}: ${wrapped(text)}`)
      }
    })
  }
})

describe('everyday JSON', () => {
  const texts: readonly unknown[] = [
    { key: 'customer-1', token_count: 120, nextPageToken: 'CAUQAA', auth: 'oauth2' },
    { sha: '3f786850e387550fdab836ed7e6dc881de23001b', id: '1b4e28ba-2fa1-11d2-883f-0016d3cca427' },
    { name: 'password', description: 'The password of the user. It must have 8 characters and a digit 1-9.' },
    { type: 'string', format: 'password', title: 'API key', pattern: '^[A-Za-z0-9]{32}$' },
    { secretName: 'projects/prod/secrets/database/versions/3', passwordHash: null, tokens_used: 123456789 },
    'The token was refreshed; see https://example.net/docs/tokens?page=2#section-10 and src/auth/token-store.ts:120',
    'const password = process.env.PASSWORD_2 ?? config.password2; setToken(user.accessToken1)',
    'sha512-3f786850e387550fdab836ed7e6dc881de23001b data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ',
    'Keys: api_key, access-token, secret. Values: none. Skip-list, task-1, risk-2, desk-3.',
    { progressToken: '1b4e28ba2fa111d2883f0016d3cca427', cursor: 'eyJvZmZzZXQiOjEwMCwib3JkZXIiOiJhc2MifQ' },
  ]
  for (const text of texts) {
    it(JSON.stringify(text).slice(0, 60), () => {
      assert.deepEqual(found(typeof text === 'string' ? text : JSON.stringify(text)), [])
      const message = { jsonrpc: '2.0', id: 1, result: { content: [], structuredContent: text } }
      assert.deepEqual(scanner.scan(Buffer.from(JSON.stringify(message)), 'toClient', '', null).findings, [])
    })
  }
})
