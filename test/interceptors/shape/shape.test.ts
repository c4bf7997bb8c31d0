import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ProbeContext, type ProbeOptions, probe } from '#testing'
import shape from '../../../interceptors/shape/shape.ts'

const MODERN = { 'mcp-protocol-version': '2026-07-28' }
const LEGACY = { 'mcp-protocol-version': '2025-11-25' }
const AGENT: ProbeContext = { client: 'agent', headers: MODERN }

// biome-ignore lint/suspicious/noExplicitAny: a test knows what it asked for
type Any = any

const call = (name = 'search') => ({ method: 'tools/call', params: { name, arguments: {} } })
const text = (value: string) => ({ result: { content: [{ type: 'text', text: value }] } })

function start(rule: object, more: object = {}, options: Omit<ProbeOptions, 'options'> = {}) {
  return probe(shape, { ...options, options: { rules: [rule], ...more } })
}

type Probed = Awaited<ReturnType<typeof start>>

/** The result of a call after it was shaped. */
async function shaped(probed: Probed, answer: object | string, context = AGENT, tool = 'search'): Promise<Any> {
  const { message, verdict } = await probed.response(answer as never, call(tool), context)
  assert.equal(verdict, undefined)
  return message.json['result']
}

function uriIn(result: Any): string {
  const uri = /sluice:\/\/result\/[\w-]+\?page=1/.exec(result.content.at(-1).text ?? result.content.at(-2).text)?.[0]
  assert.ok(uri, JSON.stringify(result))
  return uri
}

async function read(probed: Probed, uri: string, context = AGENT): Promise<Any> {
  const { verdict } = await probed.request({ method: 'resources/read', params: { uri } }, context)
  return verdict
}

/** All pages from this one on, put together. */
async function readAll(probed: Probed, first: string, context = AGENT): Promise<{ text: string; pages: number }> {
  let whole = ''
  let pages = 0
  for (let uri: string | null = first; uri !== null; ) {
    const { result } = await read(probed, uri, context)
    whole += result.contents[0].text
    pages++
    uri = result._meta['dev.sluice/page'].next
  }
  return { text: whole, pages }
}

describe('a large text', () => {
  const long = `begin ${'äöü€😀'.repeat(5000)} end`

  it('is cut to its budget, says so, and can be read whole in pages', async () => {
    const probed = await start({ max_bytes: 2000 }, { page_bytes: 1024 * 10 })
    const result = await shaped(probed, text(long))
    assert.equal(result.content.length, 3)
    const [cut, notice, link] = result.content
    assert.ok(Buffer.byteLength(cut.text) <= 2000 && cut.text.startsWith('begin ä'), cut.text)
    assert.doesNotMatch(cut.text, /\ufffd/)
    const bytes = Buffer.byteLength(long)
    assert.match(notice.text, new RegExp(`^\\[Sluice shortened this result from ${bytes} to \\d+ bytes \\(about \\d+`))
    assert.match(
      notice.text,
      /\d+ bytes of text cut\. Read what was cut, whole, with resources\/read of sluice:.*within 10m\.\]$/,
    )
    assert.deepEqual(
      { ...link, uri: '', description: '' },
      {
        type: 'resource_link',
        uri: '',
        name: 'whole-result',
        description: '',
        mimeType: 'text/plain',
        size: bytes,
      },
    )
    assert.equal(uriIn(result), link.uri)
    const whole = await readAll(probed, link.uri)
    assert.equal(whole.text, long)
    assert.equal(whole.pages, Math.ceil(bytes / (1024 * 10)))
  })

  it('may keep its tail, or both ends', async () => {
    const [tail] = (await shaped(await start({ max_bytes: 600, text: 'tail' }), text(long))).content
    assert.match(tail.text, /^\[… \d+ bytes cut …\]\n.* end$/s)
    const [both] = (await shaped(await start({ max_bytes: 600, text: 'both' }), text(long))).content
    assert.match(both.text, /^begin .*\[… \d+ bytes cut …\].* end$/s)
    for (const { text } of [tail, both]) assert.ok(Buffer.byteLength(text) <= 600)
  })

  it('shares its budget with the others of the result', async () => {
    const probed = await start({ max_tokens: 500 })
    const content = [
      { type: 'text', text: 'short' },
      { type: 'image', data: 'AAAA', mimeType: 'image/png' },
      { type: 'text', text: 'a'.repeat(9000) },
      { type: 'resource', resource: { uri: 'file:///x', text: 'b'.repeat(9000) } },
    ]
    const result = await shaped(probed, { result: { content } })
    assert.deepEqual(result.content.slice(0, 2), content.slice(0, 2))
    const [a, b] = [result.content[2].text, result.content[3].resource.text]
    assert.ok(a.length <= 1000 && b.length <= 1000 && a.length > 900 && b.length > 900, `${a.length} ${b.length}`)
    const whole = (await readAll(probed, uriIn(result))).text
    assert.equal(whole, `=== content[2] ===\n${'a'.repeat(9000)}\n\n=== content[3] ===\n${'b'.repeat(9000)}\n`)
  })

  it('is told in text alone where the revision has no links', async () => {
    for (const headers of [{}, { 'mcp-protocol-version': '2025-03-26' }] as Record<string, string>[]) {
      const probed = await start({ max_bytes: 2000 })
      const result = await shaped(probed, text(long), { client: 'agent', headers })
      assert.deepEqual(
        result.content.map((block: Any) => block.type),
        ['text', 'text'],
      )
      assert.equal((await readAll(probed, uriIn(result), { client: 'agent', headers })).text, long)
    }
  })

  it('counts the tokens that it saves', async () => {
    const probed = await start({ max_bytes: 2000 })
    const answer = text('x'.repeat(42_000))
    const { notes } = await probed.response(answer, call(), AGENT)
    assert.ok((notes['tokens_saved'] as number) > 9500 && (notes['tokens_saved'] as number) < 10_000)
  })
})

describe('what stays byte for byte', () => {
  const unchanged = async (rule: object, answer: object | string, tool = 'search') => {
    const probed = await start(rule)
    const { edited } = await probed.response(answer as never, call(tool), AGENT)
    assert.equal(edited, false)
  }

  it('a result within its budget', () => unchanged({ max_bytes: 2000 }, text('x'.repeat(1900))))
  it('one that would hardly get smaller', () => unchanged({ max_bytes: 2000 }, text('x'.repeat(2400))))
  it('one no larger than above', () => unchanged({ max_items: 1, above: '1KiB' }, text('[1,2,3]')))
  it('one of another tool', () => unchanged({ tools: 'get_*', max_bytes: 256 }, text('x'.repeat(9000))))
  it('one of another server', () => unchanged({ servers: 'github', max_bytes: 256 }, text('x'.repeat(9000))))
  it('one of another client', () => unchanged({ clients: ['!agent'], max_bytes: 256 }, text('x'.repeat(9000))))
  it('images', () =>
    unchanged(
      { max_bytes: 256 },
      { result: { content: [{ type: 'image', data: 'A'.repeat(9000), mimeType: 'x/y' }] } },
    ))
  it('pretty JSON that fits', () => unchanged({ max_items: 5 }, text('[\n  1,\n  2\n]')))
  it('an error', () => unchanged({ max_bytes: 256 }, { error: { code: -1, message: 'x'.repeat(9000) } }))
  it('what is no result of a tool', async () => {
    for (const result of [
      {},
      { content: null },
      { content: [null, 1, { type: 'text' }, { type: 'resource', resource: 1 }] },
    ]) {
      await unchanged({ max_bytes: 256, drop: ['a'] }, { result: { ...result, filler: 'x'.repeat(9000) } })
    }
  })

  it('a tool that an earlier rule leaves alone', async () => {
    const rules = [{ tools: 'export', leave: true }, { max_bytes: 256 }]
    const probed = await probe(shape, { options: { rules } })
    const edited = async (tool: string) => (await probed.response(text('x'.repeat(9000)), call(tool), AGENT)).edited
    assert.deepEqual([await edited('export'), await edited('other')], [false, true])
  })
})

describe('JSON', () => {
  const rows = Array.from({ length: 1000 }, (_, id) => ({ id, name: `row ${id}`, raw: { blob: 'x'.repeat(50) } }))

  it('in a text is still JSON afterwards, with all its digits', async () => {
    const probed = await start({ drop: ['rows.*.raw'], max_items: 2 })
    const source = '{ "total": 9007199254740993, "rate": 1.0, "rows": [ {"id":1,"raw":2}, {"id":2}, {"id":3} ] }'
    const result = await shaped(probed, text(source))
    assert.equal(result.content[0].text, '{"total":9007199254740993,"rate":1.0,"rows":[{"id":1},{"id":2}]}')
    assert.match(result.content[1].text, /rows: 2 of 3 items\. 1 field or item dropped\./)
    assert.equal((await readAll(probed, uriIn(result))).text, source)
  })

  it('keeps what is picked', async () => {
    const probed = await start({ pick: ['rows.*.name', 'rows.*.raw.blob', 'total', 'a\\.b'] })
    const value = { 'a.b': 1, a: { b: 2 }, total: 3, other: 4, rows: [{ name: 'n', raw: { blob: 1, x: 2 }, y: 3 }] }
    const result = await shaped(probed, text(JSON.stringify(value)))
    assert.deepEqual(JSON.parse(result.content[0].text), {
      'a.b': 1,
      total: 3,
      rows: [{ name: 'n', raw: { blob: 1 } }],
    })
  })

  for (const [items, ids] of [
    ['head', [0, 1, 2]],
    ['tail', [997, 998, 999]],
    ['sample', [0, 500, 999]],
  ] as const) {
    it(`keeps the ${items} of an array`, async () => {
      const probed = await start({ max_items: 3, items })
      const result = await shaped(probed, text(JSON.stringify(rows)))
      assert.deepEqual(
        JSON.parse(result.content[0].text).map((row: Any) => row.id),
        ids,
      )
      assert.match(result.content[1].text, /\(root\): 3 of 1000 items\./)
    })
  }

  it('that does not fit loses elements first, and stays valid', async () => {
    const probed = await start({ max_bytes: 4000 })
    const result = await shaped(probed, text(JSON.stringify({ total: 1000, rows })))
    const cut = JSON.parse(result.content[0].text)
    assert.ok(Buffer.byteLength(result.content[0].text) <= 4000)
    assert.equal(cut.total, 1000)
    assert.deepEqual(cut.rows[0].name, 'row 0')
    assert.ok(cut.rows.length > 20, `${cut.rows.length}`)
  })

  it('may become an outline', async () => {
    const probed = await start({ max_bytes: 4000, summarise: true })
    const result = await shaped(probed, text(JSON.stringify({ total: 1000, rows })))
    assert.equal(
      result.content[0].text,
      [
        'object of 2',
        '  total: number, 1000',
        '  rows: array of 1000',
        '    each: object of 3',
        '      id: number, 0',
        '      name: string, "row 0"',
        '      raw: object of 1',
        `        blob: string, "${'x'.repeat(50)}"`,
      ].join('\n'),
    )
    assert.match(result.content[1].text, /Only an outline is shown\./)
  })

  it('with long strings loses their ends', async () => {
    const probed = await start({ max_string: 64 })
    const result = await shaped(probed, text(JSON.stringify({ a: 'short', b: 'ä'.repeat(500) })))
    const cut = JSON.parse(result.content[0].text)
    assert.equal(cut.a, 'short')
    assert.match(cut.b, /^ä+… \[\+\d+ bytes\]$/)
    assert.ok(Buffer.byteLength(cut.b) <= 64)
  })
})

describe('structuredContent', () => {
  const list = Array.from({ length: 500 }, (_, id) => ({ id, note: 'x'.repeat(40) }))
  const both = { result: { content: [{ type: 'text', text: JSON.stringify({ list }) }], structuredContent: { list } } }

  it('is shaped like its text, and kept once', async () => {
    const probed = await start({ max_items: 4, drop: ['list.*.note'] })
    const result = await shaped(probed, both)
    assert.deepEqual(result.structuredContent, { list: [0, 1, 2, 3].map(id => ({ id })) })
    assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent)
    assert.equal(result.content[1].text.match(/list: 4 of 500 items/g).length, 1)
    assert.deepEqual(JSON.parse((await readAll(probed, uriIn(result))).text), { list })
  })

  it('keeps the source text of what it keeps', async () => {
    const probed = await start({ max_items: 1 })
    const kept = '{"n": 1.0, "big":9007199254740993}'
    const source = `{"jsonrpc":"2.0","id":1,"result":{"content":[],"structuredContent":{"list":[${kept}, {"n": 2}]}}}`
    const { message } = await probed.response(source, call(), AGENT)
    assert.ok(message.text.includes(`"structuredContent":{"list":[${kept}]}`), message.text)
    const whole = await readAll(probed, uriIn((message.json as Any).result))
    assert.equal(whole.text, '{"list":[{"n":1.0,"big":9007199254740993},{"n":2}]}')
  })

  it('may be left alone, or left out', async () => {
    const left = await shaped(await start({ max_items: 4, structured: 'leave' }), both)
    assert.deepEqual(left.structuredContent, { list })
    assert.equal(JSON.parse(left.content[0].text).list.length, 4)
    const out = await shaped(await start({ structured: 'remove' }), both)
    assert.equal('structuredContent' in out, false)
    assert.equal(out.content[0].text, JSON.stringify({ list }))
  })

  it('is rather too large than without what a declared schema may want', async () => {
    const wide = Object.fromEntries(Array.from({ length: 300 }, (_, i) => [`key${i}`, i]))
    const answer = { result: { content: [], structuredContent: wide } }
    const declared = await shaped(await start({ max_bytes: 256, output_schema: { type: 'object' } }), answer)
    assert.deepEqual(declared.structuredContent, wide)
    const free = await shaped(await start({ max_bytes: 256 }), answer)
    assert.ok(JSON.stringify(free.structuredContent).length <= 256)
    assert.ok(Object.keys(free.structuredContent).length > 10)
  })
})

describe('the list of tools', () => {
  const outputSchema = { type: 'object', properties: { list: { type: 'array', minItems: 500 } } }
  const tools = '{"name":"search","outputSchema":{"type":"object"}, "n":1.0},{"name":"plain"}'
  const answer = `{"jsonrpc":"2.0","id":1,"result":{"tools":[${tools}]}}`
  const listed = async (rule: object) =>
    (await (await start(rule)).response(answer, { method: 'tools/list' }, AGENT)).message.text

  it('has no outputSchema that shaped results would break', async () => {
    assert.equal(await listed({ max_items: 1 }), answer.replace(',"outputSchema":{"type":"object"}', ''))
  })

  it('has the declared one instead', async () => {
    const declared = await listed({ max_items: 1, output_schema: outputSchema })
    assert.deepEqual(JSON.parse(declared).result.tools[0].outputSchema, outputSchema)
    assert.equal(JSON.parse(declared).result.tools[1].outputSchema, undefined)
  })

  it('stays as it is where results keep their form', async () => {
    assert.equal(await listed({ max_items: 1, structured: 'leave' }), answer)
    assert.equal(await listed({ max_items: 1, tools: 'other' }), answer)
    assert.equal(await listed({ max_items: 1, clients: 'other' }), answer)
    assert.equal(await listed({ leave: true }), answer)
    const elsewhere = await start({ max_items: 1 }, {}, { match: { name: 'other' } })
    assert.equal((await elsewhere.response(answer, { method: 'tools/list' }, AGENT)).message.text, answer)
  })
})

describe('the way back', () => {
  const long = 'x'.repeat(20_000)
  const kept = async (context: ProbeContext, more: object = {}) => {
    const probed = await start({ max_bytes: 2000 }, more)
    return { probed, uri: uriIn(await shaped(probed, text(long), context)) }
  }

  it('is closed to other clients, and to the same name by another credential', async () => {
    const { probed, uri } = await kept(AGENT)
    assert.equal((await read(probed, uri)).action, 'reply')
    for (const context of [
      { client: 'other', headers: MODERN },
      { headers: MODERN },
      { client: { id: 'agent', via: 'claimed' }, headers: MODERN },
      { client: 'agent', server: 'elsewhere', headers: MODERN },
    ] as ProbeContext[]) {
      const verdict = await read(probed, uri, context)
      assert.deepEqual([verdict.action, verdict.code, verdict.data], ['deny', 'resource_not_found', { uri }])
    }
  })

  it('belongs to the session in the legacy era', async () => {
    const { probed, uri } = await kept({ client: 'agent', session: 'one', headers: LEGACY })
    const by = async (session: string | null) =>
      (await read(probed, uri, { client: 'agent', session, headers: LEGACY })).action
    assert.deepEqual([await by('one'), await by('two'), await by(null)], ['reply', 'deny', 'deny'])
  })

  it('ends with keep', async () => {
    const { probed, uri } = await kept(AGENT, { keep: '1m' })
    probed.clock.advance(59_999)
    assert.equal((await read(probed, uri)).action, 'reply')
    probed.clock.advance(1)
    assert.equal((await read(probed, uri)).code, 'resource_not_found')
  })

  it('is nowhere else', async () => {
    const { probed, uri } = await kept(AGENT)
    const bad = [
      uri.replace('page=1', 'page=3'),
      uri.replace('page=1', 'page=0'),
      uri.replace('page=1', 'page=1&x'),
      uri.replace(/.\?page/, '?page'),
      uri.replace('result/', 'result/0'),
      'sluice://result/',
      `sluice://result/../${uri.slice(16)}`,
    ]
    for (const one of bad) assert.equal((await read(probed, one)).code, 'resource_not_found', one)
    assert.equal((await read(probed, uri.replace('?page=1', ''))).action, 'reply')
    assert.equal(await read(probed, 'file:///etc/hosts'), undefined)
  })

  it('says how long a page holds, where the revision asks for it', async () => {
    const { probed, uri } = await kept(AGENT)
    probed.clock.advance(100_000)
    const { result } = await read(probed, uri)
    assert.deepEqual([result.ttlMs, result.cacheScope], [500_000, 'private'])
    const legacy = await kept({ client: 'agent', headers: LEGACY })
    const old = (await read(legacy.probed, legacy.uri, { client: 'agent', headers: LEGACY })).result
    assert.deepEqual(Object.keys(old), ['contents', '_meta'])
    assert.deepEqual(old.contents[1].text, `[Page 1 of 2. Next: resources/read of ${legacy.uri.replace('=1', '=2')}]`)
  })

  it('may be left out', async () => {
    const result = await shaped(await start({ max_bytes: 2000, link: false }), text(long))
    assert.equal(result.content.length, 2)
    assert.doesNotMatch(result.content[1].text, /resources\/read/)
  })

  it('is not there for what is larger than may be kept, and the result says so', async () => {
    const result = await shaped(await start({ max_bytes: 2000 }, { max_kept: '10KiB' }), text(long))
    assert.match(result.content[1].text, /What was cut is too large to be kept: ask for less\.\]$/)
    assert.equal(result.content.length, 2)
  })

  it('of the oldest goes first, the client’s own before those of others', async () => {
    const probed = await start({ max_bytes: 2000 }, { max_kept_per_client: '45KiB', max_kept: '90KiB' })
    const other: ProbeContext = { client: 'other', headers: MODERN }
    const uris: string[] = []
    for (const context of [other, AGENT, AGENT, AGENT]) uris.push(uriIn(await shaped(probed, text(long), context)))
    const open = async (context: ProbeContext, index: number) =>
      (await read(probed, uris[index] as string, context)).action
    assert.deepEqual(
      [await open(other, 0), await open(AGENT, 1), await open(AGENT, 2), await open(AGENT, 3)],
      ['reply', 'deny', 'reply', 'reply'],
    )
    for (const name of ['a', 'b']) await shaped(probed, text(long), { client: name, headers: MODERN })
    assert.equal(await open(other, 0), 'deny')
    assert.equal(await open(AGENT, 3), 'reply')
  })

  it('a store that fails is a failure of the entry, and cuts nothing', async () => {
    const probed = await start({ max_bytes: 2000 }, {}, { failures: 'verdict' })
    Object.assign(probed.environment.store, { set: () => Promise.reject(new Error('no store')) })
    const { edited, verdict } = await probed.response(text(long), call(), AGENT)
    assert.deepEqual([edited, verdict], [false, undefined])
  })
})

describe('a server without resources', () => {
  const init = { result: { protocolVersion: '2025-11-25', capabilities: { tools: {} }, serverInfo: {} } }
  const missing = { error: { code: -32601, message: 'Method not found' } }

  it('is left as it is', async () => {
    const probed = await start({ max_bytes: 2000 })
    assert.equal((await probed.response(init, { method: 'initialize' })).ran, false)
    assert.equal((await probed.response(missing, { method: 'resources/list' })).ran, false)
  })

  it('shows the capability where the policy wants it, with lists that are empty', async () => {
    const probed = await start({ max_bytes: 2000 }, { advertise: true })
    const { message } = await probed.response(init, { method: 'initialize' })
    assert.deepEqual((message.json as Any).result.capabilities, { tools: {}, resources: {} })
    const seen = await probed.response(missing, { method: 'resources/list' })
    assert.deepEqual(seen.verdict?.result, { resources: [] })
    const modern = await probed.response(missing, { method: 'resources/templates/list' }, AGENT)
    assert.deepEqual(modern.verdict?.result, { resourceTemplates: [], ttlMs: 0, cacheScope: 'private' })
  })

  it('is not changed where it has them', async () => {
    const probed = await start({ max_bytes: 2000 }, { advertise: true })
    const has = { result: { capabilities: { resources: { subscribe: true } } } }
    assert.equal((await probed.response(has, { method: 'server/discover' }, AGENT)).edited, false)
    const other = { error: { code: -32000, message: 'not now' } }
    const seen = await probed.response(other, { method: 'resources/list' })
    assert.deepEqual([seen.verdict, seen.edited], [undefined, false])
  })
})

describe('bad options', () => {
  const cases: [object, RegExp][] = [
    [{}, /rules/],
    [{ rules: [] }, /rules/],
    [{ rules: [{}] }, /expected one of max_bytes, max_tokens, pick/],
    [{ rules: [{ max_bytes: 2000, max_tokens: 500 }] }, /not both/],
    [{ rules: [{ max_bytes: 10 }] }, /at least 256 bytes/],
    [{ rules: [{ leave: true, max_items: 1 }] }, /leave: expected no other settings/],
    [{ rules: [{ drop: ['a..b'] }] }, /"a\.\.b": an empty part/],
    [{ rules: [{ drop: ['a\\'] }] }, /nothing follows the last backslash/],
    [{ rules: [{ tools: '[', max_items: 1 }] }, /bad glob/],
    [{ rules: [{ structured: 'remove', output_schema: {} }] }, /does not go with structured: remove/],
    [{ rules: [{ max_items: 1 }], keep: '10ms' }, /at least 1s/],
    [{ rules: [{ max_items: 1 }], page_bytes: '2MiB' }, /at most 1MiB/],
  ]
  for (const [options, expected] of cases) {
    it(JSON.stringify(options), () => assert.rejects(probe(shape, { options }), expected))
  }
})

describe('two entries in one chain', () => {
  it('leave each other’s results alone', async () => {
    const one = await start({ max_bytes: 2000 })
    const uri = uriIn(await shaped(one, text('x'.repeat(9000))))
    const foreign = uri.replace(/result\/[0-9a-f]{8}/, 'result/00000000')
    assert.equal((await read(one, foreign)).code, 'resource_not_found')
  })
})
