import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { probe } from '#testing'
import access from '../../interceptors/access/access.ts'

type Rules = Parameters<typeof probe>[1] extends { accessControl?: infer A } | undefined ? A : never

const RULES: Rules = {
  defaultPolicy: 'deny',
  clients: {
    agent: { allowedServers: ['github', 'search'], allowedTools: { github: ['get_*', '!get_secret'] } },
    reader: { allowedServers: ['*'], allowedTools: { '*': ['read'], github: [] } },
    admin: { allowedServers: ['*'], allowedTools: { '*': ['*'] } },
    'restricted-client': { allowedServers: ['filesystem'], allowedTools: { filesystem: ['list'] } },
    silent: {},
  },
}

async function refusalOf(client: string, server: string, method: string, name = '', accessControl = RULES) {
  const probed = await probe(access, { accessControl })
  const params = name === '' ? {} : { params: { name, arguments: { path: '/etc/passwd' } } }
  const { verdict } = await probed.request({ jsonrpc: '2.0', id: 1, method, ...params }, { client, server })
  if (verdict === undefined) return null
  assert.deepEqual([verdict.action, verdict.code], ['deny', 'access_denied'])
  return verdict.reason
}

describe('access to tools', () => {
  const cases: [client: string, server: string, tool: string, allowed: boolean][] = [
    ['agent', 'github', 'get_repo', true],
    ['agent', 'github', 'get_secret', false],
    ['agent', 'github', 'search', false],
    ['agent', 'github', 'Get_repo', false],
    // A server that allowed_tools does not name keeps all its tools.
    ['agent', 'search', 'anything', true],
    ['agent', 'postgres', 'query', false],
    ['reader', 'search', 'read', true],
    ['reader', 'search', 'write', false],
    // The list of the server itself goes before that of `*`.
    ['reader', 'github', 'read', false],
    ['admin', 'anywhere', 'anything', true],
    ['restricted-client', 'filesystem', 'read', false],
    // What rules do not say, and who has none, falls to default_policy.
    ['silent', 'github', 'get_repo', false],
    ['stranger', 'github', 'get_repo', false],
    ['__proto__', 'github', 'get_repo', false],
  ]
  for (const [client, server, tool, allowed] of cases) {
    it(`${client} may ${allowed ? '' : 'not '}call ${server}.${tool}`, async () => {
      const expected = allowed ? null : `Access denied: ${client} -> ${server}.${tool}`
      assert.equal(await refusalOf(client, server, 'tools/call', tool), expected)
    })
  }

  it('is open to strangers where default_policy allows', async () => {
    const rules: Rules = { defaultPolicy: 'allow', clients: { bad: { allowedServers: [] } } }
    assert.equal(await refusalOf('stranger', 'github', 'tools/call', 'x', rules), null)
    assert.equal(await refusalOf('bad', 'github', 'tools/call', 'x', rules), 'Access denied: bad -> github.x')
  })

  it('is what `*` says for clients that are not named', async () => {
    const rules: Rules = {
      defaultPolicy: 'deny',
      clients: { '*': { allowedServers: ['demo'] }, ci: { allowedServers: [] } },
    }
    assert.equal(await refusalOf('stranger', 'demo', 'tools/call', 'x', rules), null)
    assert.equal(await refusalOf('ci', 'demo', 'tools/call', 'x', rules), 'Access denied: ci -> demo.x')
  })
})

describe('access to everything else', () => {
  it('follows the server', async () => {
    for (const method of [
      'initialize',
      'tools/list',
      'prompts/get',
      'resources/read',
      'acme/unknown',
      'transport/stream',
    ]) {
      assert.equal(await refusalOf('agent', 'github', method), null)
      assert.equal(await refusalOf('agent', 'postgres', method), 'Access denied: agent -> postgres')
    }
  })

  it('holds for notifications of the client', async () => {
    const probed = await probe(access, { accessControl: RULES })
    const note = { jsonrpc: '2.0', method: 'notifications/progress', params: {} }
    assert.equal((await probed.notification(note, { client: 'agent', server: 'github' })).verdict, undefined)
    const seen = await probed.notification(note, { client: 'agent', server: 'postgres' })
    assert.equal(seen.verdict?.reason, 'Access denied: agent -> postgres')
  })
})

describe('lists of tools', () => {
  const LIST = { jsonrpc: '2.0', id: 7, method: 'tools/list' }
  const text = (tools: string): string =>
    `{"jsonrpc":"2.0", "id":7,"result":{"tools":[${tools}],"nextCursor":"x", "n":1.0}}`

  async function listFor(client: string, answer: string, server = 'github'): Promise<string> {
    const probed = await probe(access, { accessControl: RULES })
    const seen = await probed.response(answer, LIST, { client, server })
    assert.equal(seen.verdict, undefined)
    return seen.message.text
  }

  it('lack what the client may not call; all else keeps its source text', async () => {
    const keep = '{"name":"get_repo", "inputSchema":{"maximum":9007199254740993}}'
    const all = text(`{"name":"search"},${keep},{"name":"get_secret"},{"title":"no name"},{"name":5}`)
    assert.equal(await listFor('agent', all), text(keep))
  })

  it('may end up empty', async () => {
    assert.equal(await listFor('reader', text('{"name":"read"}')), text(''))
  })

  it('stay byte for byte where everything, or all that is listed, is allowed', async () => {
    const all = text('{"name":"search"} , {"name":"get_secret"}')
    assert.equal(await listFor('admin', all), all)
    assert.equal(await listFor('agent', all, 'search'), all)
    const allowed = text('{"name":"get_a"} ,{"name":"get_b"}')
    assert.equal(await listFor('agent', allowed), allowed)
  })

  it('that are none stay as they are', async () => {
    for (const answer of [
      '{"jsonrpc":"2.0","id":7,"error":{"code":-32601,"message":"no"}}',
      '{"jsonrpc":"2.0","id":7,"result":{"tools":"none"}}',
      '{"jsonrpc":"2.0","id":7,"result":{}}',
    ]) {
      assert.equal(await listFor('agent', answer), answer)
    }
  })
})

describe('access without rules', () => {
  it('does not start', async () => {
    await assert.rejects(probe(access), /lacks "access_control"/)
  })

  it('has no options', async () => {
    await assert.rejects(probe(access, { accessControl: RULES, options: { allow: true } }), /allow/)
  })
})
