import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import type { Scope } from '../../helpers/scope.ts'

const SLUICE = join(import.meta.dirname, '../../../proxy/cli/sluice.ts')

const POLICY = `version: 1
access_control:
  clients:
    agent: { allowed_servers: [github] }
interceptors: [access]
`
const GOOD = `tests:
  - name: agents may call
    when: { client: agent, server: github, call: search }
    then: allowed
`
const BAD = `tests:
  - name: 'a "bad" <one> # 1'
    when: { server: github, call: search }
    then:
      allowed: true
`

function folder(scope: Scope, files: Readonly<Record<string, string>>): string {
  const dir = mkdtempSync(join(tmpdir(), 'sluice-test-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  for (const [name, text] of Object.entries(files)) writeFileSync(join(dir, name), text)
  return dir
}

function start(dir: string, args: readonly string[]): ReturnType<typeof spawn> {
  return spawn(process.execPath, [SLUICE, 'test', ...args], { cwd: dir, env: { PATH: process.env.PATH ?? '' } })
}

async function run(dir: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = start(dir, args)
  let out = ''
  let err = ''
  child.stdout?.setEncoding('utf8').on('data', text => (out += text))
  child.stderr?.setEncoding('utf8').on('data', text => (err += text))
  const [code] = (await once(child, 'close')) as [number]
  return { code, out, err }
}

describe('sluice test', { concurrency: 2 }, () => {
  it('passes, with 0', async t => {
    const dir = folder(t, { 'policy.yaml': POLICY + GOOD })
    assert.deepEqual(await run(dir, 'policy.yaml', '--coverage-min', '100'), {
      code: 0,
      out: 'policy.yaml\n  ✓ agents may call\n\ncoverage: 2 of 2 rules exercised (100 %)\n1 test: 1 passed, 0 failed\n',
      err: '',
    })
  })

  it('fails, with 1, and says where and why', async t => {
    const dir = folder(t, { 'policy.yaml': POLICY, 'policy.test.yaml': BAD })
    const { code, out } = await run(dir, '.')
    assert.equal(code, 1)
    assert.equal(
      out,
      `policy.yaml
  ✗ a "bad" <one> # 1  policy.test.yaml:2:11
      policy.test.yaml:5:16: then.allowed
        expected  allowed
        got       denied by access: Access denied: anonymous -> github.search

coverage: 1 of 2 rules exercised (50 %)
  never exercised: policy.yaml:4:5: access_control.clients.agent: client "agent"
1 test: 0 passed, 1 failed
`,
    )
  })

  it('fails when too little was exercised', async t => {
    const dir = folder(t, { 'policy.yaml': `${POLICY}${GOOD}`.replace('agent:', 'other: {}\n    agent:') })
    const { code, err } = await run(dir, 'policy.yaml', '--coverage-min', '80')
    assert.deepEqual([code, err], [1, 'sluice: coverage of 66.6 % is less than the 80 % of --coverage-min\n'])
  })

  it('takes a folder, a configuration with its servers, and a test file that names several policies', async t => {
    const dir = folder(t, {
      'sluice.yaml': 'servers: { github: { url: http://127.0.0.1:1/mcp } }\npolicies: [policy.yaml]\n',
      'policy.yaml': POLICY + GOOD.replace(', server: github', ''),
      'more.yaml': `interceptors: [audit]\n${GOOD}`,
      'both.test.yaml': `policy: [policy.yaml, more.yaml]\n${GOOD}`,
      'other.yaml': 'services: {}\n',
    })
    const { code, out } = await run(dir, '.')
    assert.equal(code, 0, out)
    assert.deepEqual(
      out.split('\n').filter(line => /^\w+.*yaml$/.test(line)),
      ['sluice.yaml', 'both.test.yaml', 'more.yaml'],
    )
  })

  for (const [what, files, args, message] of [
    ['no tests', { 'policy.yaml': POLICY }, ['policy.yaml'], /no tests in policy\.yaml: write them under "tests:"/],
    ['no such path', {}, ['policies'], /policies: no such file or folder/],
    ['a bad policy', { 'policy.yaml': 'interceptors: [acess]' }, ['.'], /policy\.yaml:1:16: .*did you mean "access"\?/],
    ['a bad test', { 'policy.yaml': POLICY + GOOD.replace('call:', 'cal:') }, ['.'], /policy\.yaml:8:44: .*"cal"/],
    ['tests of nothing', { 'policy.test.yaml': GOOD }, ['.'], /there is no policy\.yaml beside it/],
    ['a bad number', { 'policy.yaml': POLICY }, ['policy.yaml', '--coverage-min', '101'], /from 0 to 100/],
  ] as const) {
    it(`says what is wrong, with 2: ${what}`, async t => {
      const { code, out, err } = await run(folder(t, files), ...args)
      assert.deepEqual([code, out], [2, ''])
      assert.match(err, message)
    })
  }

  it('reports in TAP', async t => {
    const dir = folder(t, { 'policy.yaml': `${POLICY}${GOOD}${BAD.replace('tests:\n', '')}` })
    const { code, out } = await run(dir, 'policy.yaml', '--reporter', 'tap')
    assert.equal(code, 1)
    assert.match(
      out,
      /^TAP version 14\n1\.\.2\nok 1 - policy\.yaml: agents may call\nnot ok 2 - policy\.yaml: a "bad" <one> \\# 1\n {2}---\n/,
    )
    assert.match(out, /\n {2}\.\.\.\n# coverage: 2 of 2 rules/)
  })

  it('reports in JUnit XML', async t => {
    const dir = folder(t, { 'policy.yaml': `${POLICY}${GOOD}${BAD.replace('tests:\n', '')}` })
    const { code, out } = await run(dir, 'policy.yaml', '--reporter', 'junit')
    assert.equal(code, 1)
    assert.match(out, /<testsuites name="sluice test" tests="2" failures="1" errors="0">/)
    assert.match(out, /<testcase name="a &quot;bad&quot; &lt;one&gt; # 1" classname="policy\.yaml"/)
    assert.match(
      out,
      /<failure message="then\.allowed: expected allowed, got denied by access: Access denied: anonymous -&gt; github\.search">/,
    )
  })

  it('runs again when a file changes, also after one that was wrong', { timeout: 60_000 }, async t => {
    const dir = folder(t, { 'policy.yaml': POLICY + GOOD })
    const child = start(dir, ['policy.yaml', '--watch'])
    t.after(() => child.kill('SIGKILL'))
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]()
    const turn = async (): Promise<string[]> => {
      const seen: string[] = []
      for (;;) {
        const { value, done } = await lines.next()
        assert.ok(!done, seen.join('\n'))
        if (value === 'watching policy.yaml') return seen
        seen.push(value)
      }
    }
    assert.match((await turn()).join('\n'), /1 passed, 0 failed/)
    writeFileSync(join(dir, 'policy.yaml'), POLICY + BAD)
    assert.match((await turn()).join('\n'), /0 passed, 1 failed/)
    writeFileSync(join(dir, 'policy.yaml'), 'interceptors: [acess]')
    assert.deepEqual(await turn(), [])
    writeFileSync(join(dir, 'policy.yaml'), POLICY + GOOD)
    assert.match((await turn()).join('\n'), /1 passed, 0 failed/)
    child.kill('SIGINT')
    assert.deepEqual(await once(child, 'close'), [0, null])
  })
})
