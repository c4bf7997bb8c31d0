import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { unescapedLevels } from '../../../interceptors/secret-scan/decode.ts'
import { JsonStrings } from '../../../interceptors/secret-scan/json-strings.ts'
import { KeywordDfa } from '../../../interceptors/secret-scan/keyword-dfa.ts'
import { options } from '../../../interceptors/secret-scan/options.ts'
import { redact } from '../../../interceptors/secret-scan/redact.ts'
import { SecretScanner } from '../../../interceptors/secret-scan/scanner.ts'
import { Streams, Tail } from '../../../interceptors/secret-scan/streams.ts'
import type { Message } from '../../../proxy/api/index.ts'
import { readSamples } from './samples.ts'

const CLOCK = { now: () => 0, monotonic: () => 0 }
const scanner = new SecretScanner(options.parse({}), [], CLOCK)

const positives = readSamples().flatMap(({ positives }) => positives)
const piece = fc.oneof(
  fc.constantFrom(...positives),
  fc.tuple(fc.constantFrom(...positives), fc.nat(40)).map(([text, cut]) => text.slice(cut)),
  fc.string({
    unit: fc.constantFrom('a', 'Z', '0', ' ', '"', '\\', '\n', '=', ':', '/', '%', '-', '_', 'é', '密', '.'),
    maxLength: 12,
  }),
  fc.constantFrom('token', 'password', 'api_key', ' is ', 'secret: ', 'value', 'https://u:', '@h/', 'Bearer '),
)
const plain = fc.array(piece, { maxLength: 4 }).map(parts => parts.join(''))
/** Texts, also wrapped in what the scan takes off again. */
const text = plain.chain(inner =>
  fc.constantFrom(
    inner,
    JSON.stringify({ a: inner }),
    JSON.stringify([JSON.stringify(inner)]),
    encodeURIComponent(inner.toWellFormed()),
    Buffer.from(inner).toString('base64'),
  ),
)
const document = fc.oneof(
  fc.dictionary(fc.oneof(fc.constantFrom('text', 'name', 'value', 'api_key', 'password', 'data'), plain), text, {
    maxKeys: 4,
  }),
  fc.array(
    text.map(one => ({ type: 'text', text: one })),
    { maxLength: 4 },
  ),
  fc.tuple(fc.constantFrom('DB_PASSWORD', 'API_TOKEN', 'x'), plain).map(([name, value]) => [{ name, value }]),
)

/** The same JSON in another spelling: characters escaped that need not be, slashes too, as encoders do. */
function respelled(json: string, seed: number): string {
  let state = seed
  return json.replace(/\\.|[^\\]/gsu, one => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    if (state % 3 > 0) return one
    if (one === '/') return '\\/'
    // What encoders of other languages escape though they need not.
    return "=&+<>'éä密".includes(one) ? `\\u${one.charCodeAt(0).toString(16).padStart(4, '0')}` : one
  })
}

function message(content: unknown): string {
  return JSON.stringify({ jsonrpc: '2.0', id: 1, result: { content } })
}

function rulesIn(json: string): string[] {
  const { findings } = scanner.scan(Buffer.from(json), 'toClient', '', null)
  return findings.map(({ rule, place }) => `${rule.id}@${place}`).sort()
}

describe('the look at raw bytes', () => {
  it('never passes over what the closer look finds', () => {
    fc.assert(
      fc.property(document, fc.nat(), (content, seed) => {
        for (const json of [
          message(content),
          respelled(message(content), seed),
          JSON.stringify(JSON.parse(message(content)), null, 2),
        ]) {
          if (rulesIn(json).length > 0) assert.ok(scanner.suspects(Buffer.from(json)), json)
        }
      }),
      { numRuns: 3000 },
    )
  })
})

describe('the look at raw bytes of a long message', () => {
  const secret = positives.find(text => text.length < 60) as string
  const wrapped = [secret, Buffer.from(`token=${secret}`).toString('base64'), `password: Tr0ub4dor-3x`]

  it('finds a secret wherever it stands', () => {
    for (const text of wrapped) {
      for (let before = 0; before < 700; before++) {
        const json = message([
          { type: 'text', text: `${'words '.repeat(120).slice(0, before)} ${text} ${'. '.repeat(200)}` },
        ])
        assert.ok(rulesIn(json).length > 0, `${before}: ${text}`)
        assert.ok(scanner.suspects(Buffer.from(json)), `${before}: ${text}`)
      }
    }
  })

  it('never passes over what the closer look finds', () => {
    const padded = fc.tuple(fc.nat(300), document, fc.nat(300)).map(([before, content, after]) => ({
      a: 'just words '.repeat(30).slice(0, before),
      content,
      z: 'and more of them '.repeat(20).slice(0, after),
    }))
    fc.assert(
      fc.property(padded, fc.nat(), (content, seed) => {
        const json = respelled(message(content), seed)
        if (rulesIn(json).length > 0) assert.ok(scanner.suspects(Buffer.from(json)), json)
      }),
      { numRuns: 3000 },
    )
  })
})

describe('the closer look', () => {
  it('finds the same however the JSON is spelled', () => {
    fc.assert(
      fc.property(document, fc.nat(), (content, seed) => {
        assert.deepEqual(rulesIn(respelled(message(content), seed)), rulesIn(message(content)))
      }),
      { numRuns: 800 },
    )
  })

  it('leaves valid JSON behind, in which it finds nothing of a format any more', () => {
    fc.assert(
      fc.property(document, content => {
        const bytes = Buffer.from(message(content))
        const { findings } = scanner.scan(bytes, 'toClient', '', null)
        const redaction = redact(bytes, findings, null)
        assert.ok('body' in redaction)
        const after = JSON.parse(redaction.body.toString()) as unknown
        if (findings.length === 0) assert.deepEqual(after, JSON.parse(bytes.toString()))
        const values = new Set(findings.map(({ value }) => value).filter(value => value.length >= 20))
        for (const value of values) assert.ok(!JSON.stringify(after).includes(value), value)
      }),
      { numRuns: 1500 },
    )
  })
})

describe('the walk over strings', () => {
  it('shows every key and string where JSON.parse has them', () => {
    fc.assert(
      fc.property(fc.json(), json => {
        const strings = new JsonStrings(Buffer.from(json))
        const root = JSON.parse(json) as unknown
        while (strings.next()) {
          const at = strings.path().reduce<unknown>((value, key) => (value as Record<string, unknown>)?.[key], root)
          if (strings.kind === 'string') assert.equal(at, strings.text())
          else if (strings.kind === 'key') assert.equal(strings.path().at(-1), strings.text())
          else assert.equal(at, Number(strings.text()))
        }
      }),
      { numRuns: 500 },
    )
  })
})

describe('keywords', () => {
  it('are found where String.includes finds them', () => {
    const word = fc.string({ unit: fc.constantFrom('a', 'b', '_'), minLength: 1, maxLength: 4 })
    const subject = fc.string({ unit: fc.constantFrom('a', 'B', 'b', '_', 'x'), maxLength: 20 })
    fc.assert(
      fc.property(fc.uniqueArray(word, { minLength: 1, maxLength: 6 }), subject, (words, given) => {
        const dfa = new KeywordDfa(words)
        const found: string[] = []
        let state = 0
        for (let i = 0; i < given.length; i++) {
          state = dfa.table[(state << 8) | given.charCodeAt(i)] as number
          if (state < dfa.firstAccept) continue
          for (const word of dfa.ends[state - dfa.firstAccept] ?? []) found.push(`${words[word]}@${i}`)
        }
        const lower = given.toLowerCase()
        const expected = words.flatMap(word =>
          [...lower].flatMap((_, i) => (lower.startsWith(word, i) ? [`${word}@${i + word.length - 1}`] : [])),
        )
        assert.deepEqual(found.toSorted(), expected.toSorted())
      }),
      { numRuns: 500 },
    )
  })
})

describe('escapes', () => {
  it('are undone level by level, and positions lead back', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', '"', '\n', 'é', '/', ' '), maxLength: 20 }), given => {
        const wrapped = JSON.stringify(JSON.stringify(given))
        const levels = unescapedLevels(wrapped)
        for (const { text, sources } of levels) {
          const all = sources(Array.from({ length: text.length + 1 }, (_, i) => i))
          assert.equal(all.at(-1), wrapped.length)
          assert.ok(all.every((at, i) => i === 0 || at > (all[i - 1] as number)))
          for (const [i, at] of all.entries()) if (/[aé ]/.test(text[i] ?? '')) assert.equal(wrapped[at], text[i])
        }
        if (/["\n]/.test(given)) assert.ok(levels.some(({ text }) => text.includes(given)))
      }),
      { numRuns: 500 },
    )
  })
})

describe('hostile messages', () => {
  const pieces: readonly string[] = [
    'password_',
    'api_key = token: secret => ',
    ' ghp_ sk- sk_live_ xoxb-',
    '-----BEGIN RSA PRIVATE KEY-----\n',
    'postgres://aaaaaaaaaaaa:',
    `datadog=${'0123456789abcdef'.repeat(2)}0 `,
    '\\u0061\\"\\\\\\n%41%20',
    'eyJaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.',
    'token is is is is ',
    'Server=a;'.repeat(30),
  ]
  for (const piece of pieces) {
    it(`cost no more tries than allowed: ${JSON.stringify(piece.slice(0, 30))}`, () => {
      const limited = new SecretScanner(options.parse({ max_verifications: 500 }), [], CLOCK)
      const bytes = Buffer.from(message([{ type: 'text', text: piece.repeat(4000) }]))
      const { verifications, truncated } = limited.scan(bytes, 'toClient', '', null)
      assert.ok(verifications <= 501, String(verifications))
      assert.equal(truncated !== '', verifications > 500)
    })
  }

  it('stop when their time is over', () => {
    let now = 0
    const clock = { now: () => 0, monotonic: () => now++ }
    const slow = new SecretScanner(options.parse({ max_ms: 5 }), [], clock)
    const texts = Array.from({ length: 200 }, () => ({
      type: 'text',
      text: 'datadog=0123456789abcdef0123456789abcdef0',
    }))
    assert.equal(slow.scan(Buffer.from(message(texts)), 'toClient', '', null).truncated, 'more than 5 ms')
  })
})

describe('streams of texts', () => {
  const path = ['params', 'data']
  const pieces = fc
    .tuple(fc.array(piece, { minLength: 1, maxLength: 6 }), fc.array(fc.nat(600), { maxLength: 12 }))
    .map(([parts, cuts]) => cutAt(parts.join(' '), cuts))

  it('hold for the quick look what they hold for one who joins all of them', () => {
    fc.assert(
      fc.property(pieces, texts => {
        const streams = new Streams()
        for (const one of texts) {
          const bytes = Buffer.from(
            JSON.stringify({ jsonrpc: '2.0', method: 'notifications/message', params: { data: one } }),
          )
          const found = streams.pieceOf({ method: 'notifications/message' } as Message, bytes)
          assert.ok(found !== null)
          const { tail, start, end } = found
          const suspicious = tail.take(bytes, start, end, scanner) || scanner.suspects(bytes)
          const all = scanner.scan(bytes, 'toClient', '', { path, before: tail.before() })
          if (all.findings.length > 0) assert.ok(suspicious, JSON.stringify(texts))
          tail.note(suspicious)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('end where they are kept, also in the middle of an escape', () => {
    const unit = fc.constantFrom('a', '"', '\\', '\n', 'é', '密', '😀', '\u0007')
    fc.assert(
      fc.property(fc.array(fc.string({ unit, maxLength: 900 }), { maxLength: 30 }), texts => {
        const tail = new Tail()
        for (const one of texts) {
          const raw = Buffer.from(JSON.stringify(one))
          tail.take(raw, 1, raw.length - 1, scanner)
        }
        tail.take(Buffer.from('x'), 0, 1, scanner)
        const kept = tail.before()
        const whole = texts.join('')
        // All but what a cut escape or character has become at the very beginning.
        assert.ok(whole.endsWith(kept) || whole.endsWith(kept.slice(12)))
        assert.ok(kept.length >= Math.min(whole.length, 600))
      }),
    )
  })
})

function cutAt(text: string, cuts: readonly number[]): string[] {
  const at = [0, ...cuts.map(cut => cut % (text.length + 1)).sort((a, b) => a - b), text.length]
  return at.slice(1).map((end, i) => text.slice(at[i], end))
}
