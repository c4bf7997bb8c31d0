import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Scope } from '../../helpers/scope.ts'

const SLUICE = join(import.meta.dirname, '../../../proxy/cli/sluice.ts')
const ROOT = join(import.meta.dirname, '../../..')

interface Ended {
  readonly code: number | null
  readonly out: string
  readonly err: string
}

/** Runs a command that ends by itself. */
function sluice(args: readonly string[], cwd = ROOT): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [SLUICE, ...args], { cwd, env: { PATH: process.env.PATH ?? '', HOME: cwd } })
    let out = ''
    let err = ''
    child.stdout.setEncoding('utf8').on('data', text => (out += text))
    child.stderr.setEncoding('utf8').on('data', text => (err += text))
    child.once('error', reject)
    child.once('close', code => resolve({ code, out, err }))
  })
}

function folder(scope: Scope, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-cli-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(join(dir, name, '..'), { recursive: true })
    writeFileSync(join(dir, name), text)
  }
  return dir
}

const HELLO = `import { defineInterceptor, z } from '#api'
export default defineInterceptor({
  name: 'hello',
  summary: 'Says hello.',
  options: z.object({
    greeting: z.string().default('hello').describe('what it says'),
    tools: z.array(z.string()),
    level: z.enum(['low', 'high']).optional(),
  }),
  looks: { request: { need: 'json', maxBytes: 1024, directions: ['toServer'] } },
  onFailure: 'closed',
  create: () => ({ request: () => undefined }),
})
`

describe('sluice', { concurrency: 2 }, () => {
  it('prints its version', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
    assert.deepEqual(await sluice(['--version']), { code: 0, out: `${version}\n`, err: '' })
  })

  it('prints help that shows every command and examples', async () => {
    const { code, out } = await sluice(['--help'])
    assert.equal(code, 0)
    for (const command of ['run', 'check', 'explain', 'list', 'key', 'schema'])
      assert.match(out, new RegExp(`^  ${command}`, 'm'))
    assert.match(out, /Examples:\n {2}sluice run http:/)
    assert.ok(!out.includes('--demo'))
  })

  it('ends with 2 and a hint when the command line is wrong', async () => {
    const cases: [string[], RegExp][] = [
      [['rnu'], /unknown command 'rnu'[\s\S]*Did you mean run/],
      [['run', '--lisen', 'x'], /unknown option '--lisen'[\s\S]*--listen/],
      [['run', 'http://a/mcp', '--listen', 'nowhere'], /--listen[\s\S]*Expected HOST:PORT/],
      [['run', 'http://a/mcp', '--workers', '0'], /Expected a number from 1 to 1024/],
      [['run', 'http://a/mcp', '--log-level', 'loud'], /Expected one of debug/],
      [['explain', '--server', 'a'], /--method/],
      [['schema', 'nonsense'], /expected "config" or "policy"/],
      [['key', 'create', 'a b'], /client name "a b"/],
    ]
    for (const [args, expected] of cases) {
      const { code, err } = await sluice(args)
      assert.match(err, expected)
      assert.equal(code, 2, args.join(' '))
    }
  })

  it('says what to do when there is nothing to run', async t => {
    const { code, err } = await sluice(['run'], folder(t, {}))
    assert.equal(code, 2)
    assert.match(err, /^sluice: nothing to run: give the URL/)
  })
})

describe('sluice check', { concurrency: 2 }, () => {
  it('finds nothing wrong in a good configuration and the policies it names', async t => {
    const dir = folder(t, {
      'sluice.yaml': 'servers: { a: { url: http://127.0.0.1:1/mcp } }\npolicies: [p.yaml]\n',
      'p.yaml': 'version: 1\ninterceptors: []\n',
    })
    assert.deepEqual(await sluice(['check', 'sluice.yaml', 'p.yaml'], dir), {
      code: 0,
      out: '2 files checked: no problems\n',
      err: '',
    })
  })

  it('tells every problem of every file with line and column, and ends with 2', async t => {
    const dir = folder(t, {
      'sluice.yaml': 'servers:\n  a:\n    url: http://127.0.0.1:1/mcp\nlsiten: 1\n',
      'p.yaml': 'interceptors:\n  - use: nobody\n',
      'broken.yaml': 'interceptors: [\n',
    })
    const { code, out } = await sluice(['check', 'sluice.yaml', 'p.yaml', 'broken.yaml', 'missing.yaml'], dir)
    assert.equal(code, 2)
    assert.match(out, /sluice\.yaml:4:1: .*lsiten.*did you mean "listen"/)
    assert.match(out, /p\.yaml:2:\d+: .*nobody/)
    assert.match(out, /broken\.yaml:\d+:\d+: /)
    assert.match(out, /missing\.yaml: /)
    assert.match(out, /4 files checked: 4 errors, 0 warnings\n$/)
  })

  it('warnings end with 0, with --strict with 2', async t => {
    const dir = folder(t, {
      'sluice.yaml': 'servers: { a: { url: http://127.0.0.1:1/mcp } }\nallowed_origins: ["*"]\n',
    })
    const lax = await sluice(['check', 'sluice.yaml'], dir)
    assert.match(lax.out, /sluice\.yaml:2:\d+: warning: .*any web page/)
    assert.equal(lax.code, 0)
    assert.equal((await sluice(['check', 'sluice.yaml', '--strict'], dir)).code, 2)
  })
})

describe('sluice list, explain and schema', { concurrency: 2 }, () => {
  it('lists an interceptor of a folder with its look and its options', async t => {
    const dir = folder(t, { 'mine/hello.ts': HELLO })
    const { code, out, err } = await sluice(['list', 'hello', '--interceptors', 'mine'], dir)
    assert.equal(err, '')
    assert.equal(code, 0)
    assert.equal(
      out,
      `hello  (mine/hello.ts)
  Says hello.
  reads requests: json, only toServer, up to 1KiB
  on failure: closed; time limit: 5s
  options:
    greeting: string, default "hello"
        what it says
    tools: list of string, required
    level: "low" | "high"
`,
    )
    const json = JSON.parse((await sluice(['list', 'hello', '--interceptors', 'mine', '--json'], dir)).out) as object[]
    assert.equal(json.length, 1)
  })

  it('helps with a misspelt interceptor or server', async t => {
    const dir = folder(t, { 'sluice.yaml': 'servers: { github: { url: http://a/mcp } }\n' })
    assert.match((await sluice(['list', 'audt'], dir)).err, /no interceptor "audt", did you mean "audit"/)
    const { code, err } = await sluice(['explain', '--server', 'gihub', '--method', 'tools/call'], dir)
    assert.match(err, /no such server .*did you mean "github"/)
    assert.equal(code, 2)
  })

  it('explains the chain of a policy without any configuration', async t => {
    const dir = folder(t, {
      'mine/hello.ts': HELLO,
      'p.yaml': 'interceptors:\n  - use: hello\n    options: { tools: [x] }\n',
    })
    const args = [
      'explain',
      '--server',
      'any',
      '--method',
      'tools/call',
      '--policy',
      'p.yaml',
      '--interceptors',
      'mine',
    ]
    const { code, out, err } = await sluice(args, dir)
    assert.equal(err, '')
    assert.match(out, /hello/)
    assert.equal(code, 0)
  })

  it('prints JSON Schemas', async t => {
    const dir = folder(t, {})
    for (const kind of ['config', 'policy']) {
      const { code, out } = await sluice(['schema', kind], dir)
      assert.equal(code, 0)
      assert.equal((JSON.parse(out) as { type: string }).type, 'object', kind)
    }
  })
})
