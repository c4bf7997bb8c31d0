import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { probe } from '#testing'
import secretScan from '../../../interceptors/secret-scan/secret-scan.ts'
import { expand } from './samples.ts'

const TOKEN = expand('ghp_{an:36}')
const OTHER = expand('glpat-{w:24}')
const MARK = '***REDACTED:github-pat***'
const CALL = { method: 'tools/call', params: { name: 't', arguments: {} } }

type ProbeOptions = NonNullable<Parameters<typeof probe>[1]>

function scanning(options: unknown = {}, more: ProbeOptions = {}) {
  return probe(secretScan, { options, ...more })
}

/** A call with these arguments, and what becomes of it. */
async function asked(args: unknown, options: unknown = {}) {
  const p = await scanning(options)
  return p.request({ method: 'tools/call', params: { name: 't', arguments: args } })
}

/** A result, and what becomes of it. */
async function answered(result: unknown, options: unknown = {}, more: ProbeOptions = {}) {
  const p = await scanning(options, more)
  return p.response({ result }, CALL)
}

function text(...texts: string[]): unknown {
  return { content: texts.map(one => ({ type: 'text', text: one })) }
}

describe('towards the server', () => {
  it('a secret is refused, with rule, place and fingerprint and without the secret', async () => {
    const { verdict, notes, logs } = await asked({ query: `use ${TOKEN}` })
    assert.deepEqual([verdict?.action, verdict?.code], ['deny', 'secret_found'])
    assert.match(
      verdict?.reason ?? '',
      /^Secret found in the message: github-pat at params\.arguments\.query \([0-9a-f]{8}\)/,
    )
    assert.match(String(notes.secrets), /^github-pat@params\.arguments\.query#[0-9a-f]{8}$/)
    assert.equal(notes.secrets_found, 1)
    assert.equal(logs.length, 1)
    assert.ok(!JSON.stringify([verdict, notes, logs]).includes(TOKEN.slice(0, 12)))
  })

  it('everything else goes on as it came', async () => {
    const { verdict, edited, notes } = await asked({ query: 'the token of my sister', key: 'x-1' })
    assert.deepEqual([verdict, edited, notes], [undefined, false, {}])
  })

  it('a value that cannot change is refused where the action is redact', async () => {
    const p = await scanning({ to_server: 'redact' })
    const request = { method: 'resources/read', params: { uri: `db://host/?token=${TOKEN}` } }
    const { verdict } = await p.request(request)
    assert.equal(verdict?.code, 'secret_found')
    const other = await p.request({ method: 'tools/call', params: { name: 't', arguments: { a: TOKEN, n: 1.0 } } })
    assert.deepEqual(other.message.json.params, { name: 't', arguments: { a: MARK, n: 1 } })
  })

  it('a name tells what its value is', async () => {
    const value = expand('{an:40}')
    for (const args of [
      { api_key: value },
      { config: { clientSecret: value } },
      { env: [{ name: 'API_KEY', value }] },
      { text: JSON.stringify({ env: [{ name: 'API_KEY', value }] }) },
      { headers: { Authorization: `Bearer ${value}` } },
    ]) {
      assert.equal((await asked(args)).verdict?.code, 'secret_found', JSON.stringify(args))
    }
    for (const args of [{ next_page_token: value }, { id: value }, { name: 'API_KEY', id: value }]) {
      assert.equal((await asked(args)).verdict, undefined, JSON.stringify(args))
    }
  })

  it('opaque fields of the protocol are no credentials by their name', async () => {
    const p = await scanning()
    const value = expand('{an:40}')
    const params = { cursor: value, requestState: value, _meta: { progressToken: value } }
    assert.equal((await p.request({ method: 'tools/list', params })).verdict, undefined)
    const leak = { method: 'tools/list', params: { cursor: TOKEN } }
    assert.equal((await p.request(leak)).verdict?.code, 'secret_found')
  })
})

describe('towards the client', () => {
  it('a secret is redacted and all other bytes stay', async () => {
    const p = await scanning()
    const answer = `{"jsonrpc":"2.0", "id":1, "result":{"n":1.0,"big":9007199254740993,"content":[{"type":"text","text":"a\\u00e9 TOKEN b"}]}}`
    const { message, verdict } = await p.response(answer.replace('TOKEN', TOKEN), CALL)
    assert.equal(verdict, undefined)
    assert.equal(message.text, answer.replace('\\u00e9', 'é').replace('TOKEN', MARK))
  })

  const doors: readonly [name: string, result: (secret: string) => unknown][] = [
    ['text', secret => text(`one ${secret}`)],
    ['structuredContent', secret => ({ content: [], structuredContent: { deep: [{ value: secret }] } })],
    ['an embedded resource', secret => ({ content: [{ type: 'resource', resource: { uri: 'a:b', text: secret } }] })],
    ['a blob', secret => ({ contents: [{ uri: 'a:b', blob: Buffer.from(`key ${secret}\n`).toString('base64') }] })],
    ['a resource', secret => ({ contents: [{ uri: 'a:b', text: secret }] })],
    ['a prompt', secret => ({ messages: [{ role: 'user', content: { type: 'text', text: secret } }] })],
    ['a description', secret => ({ tools: [{ name: 't', description: secret, inputSchema: {} }] })],
    ['a key', secret => ({ content: [], structuredContent: { [secret]: 1 } })],
    ['_meta', secret => ({ content: [], _meta: { 'x/y': secret } })],
  ]
  for (const [name, result] of doors) {
    it(`is looked at: ${name}`, async () => {
      const { message, notes } = await answered(result(TOKEN))
      assert.equal(notes.secrets_found, 1)
      assert.deepEqual(message.json.result, result(MARK))
      assert.ok(!JSON.stringify(notes).includes(TOKEN.slice(0, 12)))
    })
  }

  it('errors are looked at', async () => {
    const p = await scanning()
    const error = (secret: string) => ({ code: -32000, message: `bad ${secret}`, data: { trace: [`at ${secret}`] } })
    const { message } = await p.response({ error: error(TOKEN) }, CALL)
    assert.deepEqual(message.json.error, error(MARK))
  })

  it('requests of the server and answers to them are looked at', async () => {
    const p = await scanning({ to_client: 'block' })
    const x = p.exchange(CALL)
    const ask = (method: string, params: unknown) => x.request({ method, params }, 'toClient')
    const messages = [{ role: 'user', content: { type: 'text', text: TOKEN } }]
    assert.equal((await ask('sampling/createMessage', { messages, maxTokens: 1 })).verdict?.code, 'secret_found')
    assert.equal((await ask('elicitation/create', { message: `Is ${TOKEN} right?` })).verdict?.code, 'secret_found')
    const content = { action: 'accept', content: { value: TOKEN } }
    assert.equal((await x.response({ result: content }, 'toServer')).verdict?.code, 'secret_found')
  })

  it('what a result says twice is redacted twice, also as text', async () => {
    const password = `${expand('{an:9}')}!#${expand('{an:4}')}`
    const structured = { list: [{ name: 'PASSWORD', value: password }] }
    const { message } = await answered({
      ...(text(`It is ${password} today`) as object),
      structuredContent: structured,
    })
    assert.ok(!message.text.includes(password))
    assert.deepEqual(message.json.result, {
      content: [{ type: 'text', text: 'It is ***REDACTED:generic-password*** today' }],
      structuredContent: { list: [{ name: 'PASSWORD', value: '***REDACTED:generic-password***' }] },
    })
  })

  it('both copies of a doubled key are looked at', async () => {
    const p = await scanning()
    const answer = `{"jsonrpc":"2.0","id":1,"result":{"a":{"k":"${TOKEN}","k":"x","k":"${OTHER}"}}}`
    const { message } = await p.response(answer, CALL)
    assert.equal(
      message.text,
      `{"jsonrpc":"2.0","id":1,"result":{"a":{"k":"${MARK}","k":"x","k":"***REDACTED:gitlab-pat***"}}}`,
    )
  })

  it('escapes of letters hide nothing', async () => {
    const p = await scanning()
    const escaped = [...TOKEN].map(letter => `\\u00${letter.charCodeAt(0).toString(16)}`).join('')
    const { message } = await p.response(`{"jsonrpc":"2.0","id":1,"result":{"a":"${escaped}"}}`, CALL)
    assert.deepEqual(message.json.result, { a: MARK })
  })

  it('base64 stays base64', async () => {
    const { message } = await answered({
      contents: [{ uri: 'a', blob: Buffer.from(`é ${TOKEN} x`).toString('base64') }],
    })
    const { contents } = message.json.result as { contents: [{ blob: string }] }
    assert.equal(Buffer.from(contents[0].blob, 'base64').toString(), `é ${MARK} x`)
  })
})

describe('a secret in parts', () => {
  it('over adjacent texts is found and taken out of all of them', async () => {
    const { message } = await answered(text('begin gh', TOKEN.slice(2, 20), `${TOKEN.slice(20)} end`))
    assert.deepEqual(message.json.result, text(`begin ${MARK}`, '', ' end'))
  })

  it('over messages of a prompt and contents of a resource too', async () => {
    const messages = (a: string, b: string) => ({
      messages: [a, b].map(part => ({ role: 'user', content: { type: 'text', text: part } })),
    })
    const prompt = await answered(messages(TOKEN.slice(0, 9), TOKEN.slice(9)))
    assert.deepEqual(prompt.message.json.result, messages(MARK, ''))
    const contents = (a: string, b: string) => ({ contents: [a, b].map(part => ({ uri: 'a:b', text: part })) })
    const resource = await answered(contents(`x ${TOKEN.slice(0, 30)}`, TOKEN.slice(30)))
    assert.deepEqual(resource.message.json.result, contents(`x ${MARK}`, ''))
  })

  it('a name in one text and its value in the next', async () => {
    const value = expand('{an:40}')
    const { notes } = await answered(text('api_key = ', value))
    assert.equal(notes.secrets_found, 1)
  })

  it('what is between keeps texts apart', async () => {
    const { content } = text(TOKEN.slice(0, 9), TOKEN.slice(9)) as { content: unknown[] }
    const apart = { content: [content[0], { type: 'image', data: 'AAAA', mimeType: 'image/png' }, content[1]] }
    assert.equal((await answered(apart)).edited, false)
  })

  for (const [method, params] of [
    ['notifications/progress', (part: string) => ({ progressToken: 7, progress: 1, message: part })],
    ['notifications/message', (part: string) => ({ level: 'info', logger: 'l', data: part })],
    ['notifications/message', (part: string) => ({ level: 'info', logger: 'l', data: { text: part } })],
  ] as const) {
    it(`over ${method} (${JSON.stringify(params(''))}) is found in the message that completes it`, async () => {
      const x = (await scanning()).exchange(CALL)
      const say = (part: string) => x.notification({ method, params: params(part) }, 'toClient')
      assert.equal((await say(`begin ${TOKEN.slice(0, 11)}`)).edited, false)
      const { message, notes } = await say(`${TOKEN.slice(11)} end`)
      assert.deepEqual(message.json.params, params(`${MARK} end`))
      assert.equal(notes.secrets_found, 1)
      assert.equal((await say('and on')).edited, false)
    })
  }

  it('streams of different tokens are kept apart, and exchanges are', async () => {
    const p = await scanning()
    const x = p.exchange(CALL)
    const say = (progressToken: number, message: string) =>
      x.notification({ method: 'notifications/progress', params: { progressToken, progress: 1, message } }, 'toClient')
    await say(1, TOKEN.slice(0, 11))
    assert.equal((await say(2, TOKEN.slice(11))).edited, false)
    const params = { progressToken: 1, progress: 1, message: TOKEN.slice(11) }
    const other = await p.exchange(CALL).notification({ method: 'notifications/progress', params }, 'toClient')
    assert.equal(other.edited, false)
  })
})

describe('actions', () => {
  it('are set by direction and by rule; the last exception that fits counts', async () => {
    const options = {
      to_server: 'redact',
      rules: { 'git*': 'report', 'github-*': { to_client: 'block' }, 'gitlab-pat': 'off' },
    }
    const sent = await asked({ a: TOKEN, b: expand('gldt-{w:24}'), c: OTHER }, options)
    assert.deepEqual([sent.verdict, sent.edited, sent.notes.secrets_found], [undefined, false, 2])
    const got = await answered(text(TOKEN), options)
    assert.equal(got.verdict?.code, 'secret_found')
    assert.equal((await answered(text(OTHER), options)).notes.secrets_found, undefined)
    const stripe = await asked({ a: expand('sk_live_{an:30}') }, options)
    assert.deepEqual(stripe.message.json.params, { name: 't', arguments: { a: '***REDACTED:stripe-live-key***' } })
  })

  it('block goes before redact in one message', async () => {
    const { verdict } = await answered(text(TOKEN, OTHER), { rules: { 'gitlab-pat': 'block' } })
    assert.match(verdict?.reason ?? '', /gitlab-pat/)
  })

  it('off for a direction lets it pass unseen', async () => {
    assert.equal((await asked({ a: TOKEN }, { to_server: 'off' })).verdict, undefined)
  })

  it('an exception that fits no rule is an error that names those there are', async () => {
    await assert.rejects(
      scanning({ rules: { 'github-tokens': 'off' } }),
      /"github-tokens" fits no rule; there are github-pat/,
    )
  })
})

describe('allow', () => {
  const sha256 = createHash('sha256').update(TOKEN).digest('hex')
  const args = { docs: { sample: TOKEN }, other: OTHER }
  for (const [name, allow, rules] of [
    ['rule', { rule: 'github-*' }, ['gitlab-pat']],
    ['path', { path: 'params.arguments.docs.*' }, ['gitlab-pat']],
    ['path of a list', { path: ['params.arguments.other'] }, ['github-pat']],
    ['tool', { tool: ['t'] }, []],
    ['another tool', { tool: 'u' }, ['github-pat', 'gitlab-pat']],
    ['hash', { sha256: `sha256:${sha256}` }, ['gitlab-pat']],
    ['regex', { regex: '^glpat-[[:word:]-]+$' }, ['github-pat']],
    ['all of one entry must fit', { rule: 'github-*', path: 'params.arguments.other' }, ['github-pat', 'gitlab-pat']],
  ] as const) {
    it(name, async () => {
      const { notes } = await asked(args, { to_server: 'report', allow: [allow] })
      const found = String(notes.secrets ?? '')
        .split(' ')
        .filter(one => one !== '')
      assert.deepEqual(
        found.map(one => one.split('@')[0]),
        rules,
      )
    })
  }

  it('fingerprint, with a key of one’s own', async () => {
    const fingerprint_key = 'a key of at least 16'
    const first = await asked({ a: TOKEN }, { fingerprint_key })
    const fingerprint = /\(([0-9a-f]{8})\)/.exec(first.verdict?.reason ?? '')?.[1]
    assert.equal((await asked({ a: TOKEN }, { fingerprint_key, allow: [{ fingerprint }] })).verdict, undefined)
    await assert.rejects(scanning({ allow: [{ fingerprint }] }), /allow\[0\]: fingerprint: .*fingerprint_key/)
  })

  it('says what is wrong with an entry', async () => {
    await assert.rejects(scanning({ allow: [{}] }), /would allow everything/)
    await assert.rejects(scanning({ allow: [{ regex: '(?=x)' }] }), /allow\[0\]: regex: RE2 does not take it/)
    await assert.rejects(scanning({ allow: [{ sha256: 'abc' }] }), /allow\[0\]: sha256: expected 64 hexadecimal digits/)
  })
})

describe('results with an output schema', () => {
  const tools = (value: unknown, more: object = {}) => ({
    demo: [{ name: 't', outputSchema: { type: 'object', properties: { value }, ...more } }] as never,
  })
  const structured = { content: [], structuredContent: { value: TOKEN, rest: 1 } }
  const redacted = (value: unknown) => ({ content: [], structuredContent: { value, rest: 1 } })

  for (const [name, schema, expected] of [
    ['any string', { type: 'string' }, redacted(MARK)],
    ['a shorter string', { type: 'string', maxLength: 12 }, redacted(MARK.slice(0, 12))],
    ['a longer string', { type: 'string', minLength: 30 }, redacted(MARK.padEnd(30, '*'))],
    [
      'a pattern, member optional',
      { type: 'string', pattern: '^ghp_' },
      { content: [], structuredContent: { rest: 1 } },
    ],
    ['one of several', { anyOf: [{ type: 'number' }, { type: 'string' }] }, redacted(MARK)],
    ['a reference', { $ref: '#/$defs/name' }, redacted(MARK)],
  ] as const) {
    it(name, async () => {
      const more = { $defs: { name: { type: 'string' } } }
      const { message, verdict } = await answered(structured, {}, { tools: tools(schema, more) })
      assert.equal(verdict, undefined)
      assert.deepEqual(message.json.result, expected)
    })
  }

  it('is refused where nothing fits', async () => {
    const needed = tools({ type: 'string', pattern: '^ghp_' }, { required: ['value'] })
    const { verdict } = await answered(structured, {}, { tools: needed })
    assert.match(verdict?.reason ?? '', /leaves no room for a marker/)
  })
})

describe('personal data', () => {
  const EMAIL = ['ada.lovelace', 'analytical.engine.uk'].join('@')
  const found = async (value: unknown, pii: unknown): Promise<string> => {
    const { notes } = await answered({ content: [], structuredContent: { value } }, { pii, to_client: 'report' })
    return String(notes.secrets ?? '').replace(/@.*/, '')
  }

  it('is not looked for unless asked', async () => {
    for (const value of [EMAIL, 'DE89 3704 0044 0532 0130 00', '078-05-1120'])
      assert.equal(await found(value, false), '')
  })

  for (const [rule, positives, negatives] of [
    [
      'pii-email',
      [EMAIL, `mail to <${EMAIL}>`],
      ['someone@example.com', 'a@b', 'npm i @scope/pkg@1.2.3', 'x@2x.png 1@'],
    ],
    [
      'pii-iban',
      ['DE89370400440532013000', 'GB29 NWBK 6016 1331 9268 19'],
      ['DE89370400440532013001', 'DE8937040044053201300'],
    ],
    [
      'pii-card',
      ['4111 1111 1111 1111', '378282246310005', 5555555555554444],
      ['4111 1111 1111 1112', '1234567890123', 1767616800000],
    ],
    ['pii-phone', ['+44 20 7946 0958', '(212) 555-0142', '+4930123456'], ['2026-01-05', '1.2.3.4', '12345678', '+1']],
    ['pii-us-ssn', ['078-05-1120'], ['000-05-1120', '078-00-1120', '1078-05-1120', '078051120']],
  ] as const) {
    it(rule, async () => {
      for (const value of positives) assert.equal(await found(value, true), rule, String(value))
      for (const value of negatives) assert.equal(await found(value, [rule.slice(4)]), '', String(value))
    })
  }

  it('in a number becomes 0', async () => {
    const { message } = await answered({ structuredContent: { card: 4111111111111111, n: 1 } }, { pii: ['card'] })
    assert.deepEqual(message.json.result, { structuredContent: { card: 0, n: 1 } })
  })
})

describe('a scan that is cut short', () => {
  // Values that nearly fit, so that each costs a try.
  const busy = text(`datadog=${'0123456789abcdef'.repeat(2)}0 `.repeat(300))
  const options = { max_verifications: 100 }

  it('fails the hook: on_failure decides', async () => {
    const closed = await answered(busy, options, { failures: 'verdict' })
    assert.equal(closed.verdict?.code, 'interceptor_failed')
    assert.equal(closed.notes.secret_scan_truncated, 'more than 100 verifications')
    const open = await answered(busy, options, { failures: 'verdict', onFailure: 'open' })
    assert.deepEqual([open.verdict, open.edited], [undefined, false])
  })

  it('never lets a message pass in which something to redact was found', async () => {
    const both = text(TOKEN, (busy as { content: { text: string }[] }).content[0]?.text ?? '')
    const { verdict } = await answered(both, options, { onFailure: 'open' })
    assert.match(verdict?.reason ?? '', /github-pat at result\.content\.0\.text .*too large or too dense/)
  })
})
