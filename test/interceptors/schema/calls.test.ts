import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { JsonObject } from '#api'
import { call, probeSchema, SEARCH, Server, tool } from './kit.ts'

async function reasonOf(args: unknown, options: JsonObject = {}, one: JsonObject = SEARCH): Promise<string | null> {
  const p = await probeSchema(new Server([one]), options)
  const { verdict } = await p.request(call(String(one.name), args))
  return verdict === undefined ? null : verdict.reason
}

describe('arguments', () => {
  it('pass when they fit, byte for byte', async () => {
    const p = await probeSchema(new Server([SEARCH]))
    const text =
      '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{"query":"a","limit":1.0}}}'
    const { verdict, edited, message } = await p.request(text)
    assert.deepEqual([verdict, edited, message.text], [undefined, false, text])
  })

  it('are refused with one line for each thing that is wrong (R054)', async () => {
    assert.equal(await reasonOf({}), 'Invalid parameters for demo.search:\nMissing required parameter: query')
    assert.equal(await reasonOf(undefined), 'Invalid parameters for demo.search:\nMissing required parameter: query')
    const reason = await reasonOf({ limit: 'five', lang: 'fr', querry: 'x' })
    assert.deepEqual(reason?.split('\n').toSorted(), [
      'Invalid parameters for demo.search:',
      'Missing required parameter: query',
      'Unknown parameter: querry (did you mean query?)',
      'lang: expected one of "en", "de"',
      'limit: expected integer, got string',
    ])
  })

  it('are an error the model can act on', async () => {
    const p = await probeSchema(new Server([SEARCH]))
    const { verdict, notes } = await p.request(call('search', {}))
    assert.deepEqual([verdict?.action, verdict?.code, notes], ['deny', 'invalid_arguments', { schema_arguments: 1 }])
  })

  it('are told by path, and never by value', async () => {
    const nested = tool('t', {
      filter: {
        type: 'object',
        properties: {
          ids: { type: 'array', items: { type: 'string', pattern: '^[a-z]+$' } },
          from: { type: ['string', 'null'] },
        },
        required: ['to'],
      },
      either: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      shape: { oneOf: [{ required: ['a'] }, { required: ['b'] }], type: 'object' },
      never: false,
    })
    const reason = await reasonOf(
      { filter: { ids: ['ok', 'S3CRET'], from: 5 }, either: 3, shape: { a: 'S3CRET', b: 1 }, never: 'S3CRET' },
      {},
      nested,
    )
    assert.deepEqual(reason?.split('\n').toSorted(), [
      'Invalid parameters for demo.t:',
      'Missing required parameter: filter.to',
      'Unknown parameter: never',
      'either: expected string or null, got number',
      'filter.from: expected string or null, got number',
      'filter.ids[1]: expected text that matches ^[a-z]+$',
      'shape: fits more than one of the forms that exclude each other',
    ])
    assert.ok(!reason?.includes('S3CRET'))
  })

  it('are told in no more than ten lines', async () => {
    const many = tool('t', {}, { required: Array.from({ length: 30 }, (_, i) => `p${i}`) })
    const lines = (await reasonOf({}, {}, many))?.split('\n') ?? []
    assert.deepEqual([lines.length, lines.at(-1)], [12, '… and 20 more'])
  })

  it('are checked the same by the interpreter, by ajv, and when they are large', async () => {
    const p = await probeSchema(new Server([SEARCH]))
    for (let i = 0; i < 120; i++) {
      assert.equal((await p.request(call('search', { query: 'x', limit: i + 1 }))).verdict, undefined)
      assert.match(
        (await p.request(call('search', { query: '' }))).verdict?.reason ?? '',
        /query: expected at least 1 char/,
      )
    }
    const long = { query: 'x'.repeat(100_000) }
    assert.equal((await p.request(call('search', long))).verdict, undefined)
    assert.match(
      (await p.request(call('search', { ...long, limit: 0 }))).verdict?.reason ?? '',
      /limit: expected at least 1$/,
    )
  })

  it('are only reported, or not looked at, where the policy says so', async () => {
    const report = await probeSchema(new Server([SEARCH]), { arguments: 'report' })
    const seen = await report.request(call('search', {}))
    assert.deepEqual([seen.verdict, seen.notes], [undefined, { schema_arguments: 1 }])
    const off = await probeSchema(new Server([SEARCH]), { arguments: 'off' })
    assert.deepEqual((await off.request(call('search', {}))).notes, {})
  })

  it('are not parsed where the tool says nothing about them', async () => {
    for (const inputSchema of [undefined, {}, { type: 'object' }, { type: 'object', properties: {}, required: [] }]) {
      const server = new Server([{ name: 't', ...(inputSchema !== undefined && { inputSchema }) } as JsonObject])
      const p = await probeSchema(server)
      await p.request(call('t', {}))
      const parse = JSON.parse
      let parsed = 0
      const x = p.exchange(
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"mark-of-this-test":1}}}',
      )
      JSON.parse = ((text: string, ...rest: []) => {
        const caller = new Error().stack ?? ''
        if (text.includes('mark-of-this-test') && !caller.includes('ProbeExchange.seen')) parsed++
        return parse(text, ...rest)
      }) as typeof JSON.parse
      try {
        assert.equal((await x.request()).verdict, undefined)
      } finally {
        JSON.parse = parse
      }
      assert.equal(parsed, 0, JSON.stringify(inputSchema))
    }
  })
})

describe('coerce', () => {
  const typed = tool('t', {
    n: { type: 'number' },
    i: { type: 'integer' },
    b: { type: 'boolean' },
    s: { type: 'string' },
    list: { type: 'array', items: { type: 'integer', maximum: 9 } },
    any: { type: ['integer', 'null'] },
  })
  const send = async (args: string, coerce = true) => {
    const p = await probeSchema(new Server([typed]), { coerce })
    return p.request(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":${args}}}`)
  }

  it('turns texts into numbers and booleans where the schema wants them, and keeps all other text', async () => {
    const { verdict, message, notes } = await send(
      '{ "n":"1.5", "i": "5", "b":"true","s":"7", "list":["1", 2],"any":"3","x":9007199254740993 }',
    )
    assert.equal(verdict, undefined)
    assert.match(
      message.text,
      /"arguments":\{ "n":1\.5, "i": 5, "b":true,"s":"7", "list":\[1, 2\],"any":3,"x":9007199254740993 \}/,
    )
    assert.deepEqual(notes, { schema_coerced: 5 })
  })

  it('is off unless asked for', async () => {
    assert.match((await send('{"i":"5"}', false)).verdict?.reason ?? '', /i: expected integer, got string/)
  })

  it('never loses a digit, never guesses, and changes nothing that stays wrong', async () => {
    for (const args of [
      '{"i":"9007199254740993"}',
      '{"n":"0.1234567890123456789"}',
      '{"i":"1.5"}',
      '{"i":""}',
      '{"i":" 5"}',
      '{"i":"0x10"}',
      '{"n":"NaN"}',
      '{"n":"1e999"}',
      '{"b":"yes"}',
      '{"b":"1"}',
      '{"i":"5","n":"x"}',
      '{"list":["10"]}',
    ]) {
      const { verdict, edited } = await send(args)
      assert.deepEqual([verdict?.code, edited], ['invalid_arguments', false], args)
    }
  })
})

describe('a tool that is not there (R053)', () => {
  const tools = [tool('get_user'), tool('get_users'), tool('delete_repo'), tool('admin_reset')]

  it('is refused with those that are, the similar ones first', async () => {
    const p = await probeSchema(new Server(tools))
    const { verdict } = await p.request(call('getUser'))
    assert.equal(verdict?.code, 'tool_not_found')
    assert.equal(
      verdict?.reason,
      'Tool not found: demo.getUser\nAvailable tools: demo.get_user, demo.get_users, demo.admin_reset, demo.delete_repo',
    )
  })

  it('never shows tools that the client may not call', async () => {
    const accessControl = {
      defaultPolicy: 'deny',
      clients: { agent: { allowedServers: ['demo'], allowedTools: { demo: ['get_*'] } } },
    } as const
    const p = await probeSchema(new Server(tools), {}, { accessControl })
    const told = async (client: string) => (await p.request(call('nothing'), { client })).verdict?.reason.split('\n')[1]
    assert.equal(await told('agent'), 'Available tools: demo.get_user, demo.get_users')
    assert.equal(await told('stranger'), 'Available tools: none')
  })

  it('is told in a bounded text, without control characters', async () => {
    const p = await probeSchema(new Server(Array.from({ length: 500 }, (_, i) => tool(`tool_${i}_${'x'.repeat(500)}`))))
    const reason = (await p.request(call(`a\u001b[31m\n${'y'.repeat(100_000)}`))).verdict?.reason ?? ''
    assert.ok(reason.length < 8000, `${reason.length}`)
    assert.equal(reason.split('\n').length, 2)
    assert.match(reason, /and 450 more$/)
    assert.ok(!reason.includes('\u001b'))
  })

  it('is reported, or let through, where the policy says so', async () => {
    for (const [mode, notes] of [
      ['report', { schema_unknown_tool: 'not listed' }],
      ['off', {}],
    ] as const) {
      const p = await probeSchema(new Server(tools), { unknown_tools: mode })
      const seen = await p.request(call('nothing'))
      assert.deepEqual([seen.verdict, seen.notes], [undefined, notes])
    }
  })
})
