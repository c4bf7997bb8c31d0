import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { startDemoServer } from '../../deploy/demo/demo-server.ts'
import { startSluice } from '../helpers/program.ts'
import { suiteScope } from '../helpers/scope.ts'

/** The official inspector's command line, in each era, through Sluice and directly: same output, same exit code. */
const INSPECTOR = fileURLToPath(
  new URL('../../node_modules/@modelcontextprotocol/inspector/clients/launcher/build/index.js', import.meta.url),
)
const RUN_MS = 30_000

/** Each starts Node twice, so every method comes once and not in every era. */
const RUNS: [era: 'legacy' | 'modern', name: string, ...args: string[]][] = [
  ['legacy', 'tools/list', '--method', 'tools/list'],
  ['legacy', 'a tool', '--method', 'tools/call', '--tool-name', 'echo', '--tool-arg', 'text=grüße'],
  ['legacy', 'a failing tool', '--method', 'tools/call', '--tool-name', 'read', '--tool-arg', 'path=/nowhere'],
  [
    'legacy',
    'a prompt',
    '--method',
    'prompts/get',
    '--prompt-name',
    'greet',
    '--prompt-args',
    'name=Ada',
    'style=pirate',
  ],
  ['modern', 'tools/list', '--method', 'tools/list'],
  ['modern', 'a stream', '--method', 'tools/call', '--tool-name', 'countdown', '--tool-arg', 'from=2', 'interval_ms=1'],
  ['modern', 'a resource', '--method', 'resources/read', '--uri', 'demo://about'],
]

describe('the inspector through Sluice', () => {
  const scope = suiteScope()
  let direct = ''
  let proxied = ''
  let home = ''

  before(async () => {
    const demo = await startDemoServer(0)
    scope.after(() => demo.close())
    home = mkdtempSync(join(tmpdir(), 'inspector-'))
    scope.after(() => rmSync(home, { recursive: true, force: true }))
    direct = demo.url
    proxied = (await startSluice(scope, [direct])).url
  })

  for (const [era, name, ...args] of RUNS) {
    test(`${name}, ${era}`, async () => {
      const [expected, actual] = await Promise.all([inspect(direct, era, args), inspect(proxied, era, args)])
      assert.deepEqual(actual, expected)
      assert.notEqual(expected.stdout, '')
    })
  }

  async function inspect(url: string, era: string, args: string[]) {
    const command = [INSPECTOR, '--cli', url, '--transport', 'http', '--protocol-era', era, '--format', 'json', ...args]
    const child = spawn(process.execPath, command, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, HOME: home, MCP_STORAGE_DIR: home },
      timeout: RUN_MS,
      killSignal: 'SIGKILL',
    })
    const output = { code: null as number | null, stdout: '', stderr: '' }
    child.stdout.setEncoding('utf8').on('data', text => {
      output.stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', text => {
      output.stderr += text
    })
    const [code] = await once(child, 'close')
    return { ...output, code }
  }
})
