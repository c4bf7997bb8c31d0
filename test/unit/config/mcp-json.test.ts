import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { LoadError } from '../../../proxy/base/diagnostic.ts'
import { type Imported, readMcpJson } from '../../../proxy/config/mcp-json.ts'

const dir = mkdtempSync(join(tmpdir(), 'mcp-json-'))
const file = join(dir, 'mcp.json')
after(() => rmSync(dir, { recursive: true }))

function read(text: string, env: NodeJS.ProcessEnv = {}): Imported {
  writeFileSync(file, text)
  return readMcpJson(file, env)
}

function errors(text: string, env: NodeJS.ProcessEnv = {}): string[] {
  try {
    read(text, env)
  } catch (error) {
    assert.ok(error instanceof LoadError)
    return error.message.replaceAll(`${file}:`, '').split('\n')
  }
  throw new Error('it was accepted')
}

describe('the list of servers that clients keep', () => {
  it('is read from Claude Desktop', () => {
    const { servers, warnings } = read(
      `{
	"mcpServers": {
		"filesystem": { "command": "npx", "args": ["-y", "@modelcontextprotocol/server-filesystem", "/data"] },
		"My GitHub (work)": { "command": "docker", "args": ["run", "-i", "x"], "env": { "TOKEN": "\${GITHUB_TOKEN}" } },
		"old": { "command": "x", "disabled": true }
	}
}`,
      { GITHUB_TOKEN: 'abc' },
    )
    assert.deepEqual(servers, {
      filesystem: { command: ['npx', '-y', '@modelcontextprotocol/server-filesystem', '/data'] },
      'my-github-work': { command: ['docker', 'run', '-i', 'x'], env: { TOKEN: 'abc' } },
    })
    assert.deepEqual(
      warnings.map(({ text, line }) => [line, text]),
      [[5, 'mcpServers.old: disabled: left out']],
    )
  })

  it('is read from Cursor, with its variables', () => {
    const { servers } = read(
      '{"mcpServers":{"a":{"url":"https://x.example/mcp","headers":{"Authorization":"Bearer ${env:KEY}"}},"b":{"command":"${userHome}/bin/x","cwd":"${workspaceFolder}","autoApprove":["y"]}}}',
      { KEY: 'k' },
    )
    assert.deepEqual(servers, {
      a: { url: 'https://x.example/mcp', headers: { Authorization: 'Bearer k' } },
      b: { command: [`${homedir()}/bin/x`], cwd: dir },
    })
  })

  it('is read from VS Code: comments, trailing commas, inputs, files of variables', () => {
    writeFileSync(join(dir, '.env'), 'A=1\nB="two words"\n')
    const { servers } = read(
      `// servers of this project
{
  "inputs": [{ "type": "promptString", "id": "api-key", "password": true }], /* asked for
  once */ "servers": {
    "web": { "type": "stdio", "command": "node", "args": ["// no comment"], "envFile": ".env", "env": { "KEY": "\${input:api-key}", "B": "3" }, },
    "remote": { "type": "http", "url": "http://127.0.0.1:1/mcp" },
  },
}`,
      { API_KEY: 'secret' },
    )
    assert.deepEqual(servers, {
      web: { command: ['node', '// no comment'], env: { A: '1', B: '3', KEY: 'secret' } },
      remote: { url: 'http://127.0.0.1:1/mcp' },
    })
    assert.deepEqual(Object.keys(read('{"mcp":{"servers":{"x":{"command":"y"}}}}').servers), ['x'])
  })

  it('says what is wrong, and where', () => {
    assert.deepEqual(errors('{}'), [
      '1:1: no list of servers: expected "mcpServers" (Claude, Cursor) or "servers" (VS Code)',
    ])
    assert.deepEqual(
      errors(`{"mcpServers": {
  "a": { "args": ["x"] },
  "b": { "command": ["npx"] },
  "c": { "type": "sse", "url": "http://x/sse" },
  "D d": { "command": "x" },
  "d-d": { "command": "x" },
  "-": { "command": "x" },
  "e": { "command": "x", "envFile": "none.env" }
}}`),
      [
        '2:3: mcpServers.a: expected either "command" or "url"',
        '3:21: mcpServers.b.command: expected text, got a list',
        `4:10: mcpServers.c.type: transport "sse": expected Streamable HTTP ("http"); ask the server's makers for that endpoint`,
        '6:3: mcpServers.d-d: the name becomes "d-d", which is there already: rename one of the two',
        '7:3: mcpServers.-: expected a name with at least one letter or digit',
        '8:26: mcpServers.e.envFile: "none.env" cannot be read: ENOENT',
      ],
    )
    assert.match(
      errors('{"mcpServers":{"a":{"command":"x","env":{"K":"${env:MISSING_ONE}"}}}}').join(),
      /environment variable MISSING_ONE is not set/,
    )
    assert.match(errors('{"mcpServers":').join(), /bad YAML/)
  })

  it('keeps every text as JSON means it', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.boolean(), (text, pretty) => {
        fc.pre(!text.includes('${'))
        const json = JSON.stringify({ mcpServers: { a: { command: 'x', args: [text] } } }, null, pretty ? '\t' : 0)
        assert.deepEqual(read(json).servers, { a: { command: ['x', text] } })
      }),
      { numRuns: 500 },
    )
  })
})
