import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

// Run after `npm run build`: what would be published works where somebody installs it, with its own dependencies only.
const root = join(import.meta.dirname, '../..')
const dist = join(root, 'dist')

interface Manifest {
  readonly version: string
  readonly bin: Readonly<Record<string, string>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const manifest = JSON.parse(readFileSync(join(dist, 'package.json'), 'utf8')) as Manifest

function checkManifest(): void {
  for (const key of ['devDependencies', 'scripts', 'allowScripts', 'private']) {
    assert.ok(!(key in manifest), `the published manifest has "${key}"`)
  }
  const optional = Object.keys(manifest.optionalDependencies ?? {})
  assert.deepEqual(
    optional.filter(name => /^node-(linux|bin)-/.test(name)),
    [],
    'the published manifest names Node itself',
  )
}

function checkFiles(): void {
  const files = readdirSync(dist, { recursive: true, encoding: 'utf8' })
  const strangers = files.filter(path => /(?<!\.d)\.ts$|\.test\.|node_modules/.test(path))
  assert.deepEqual(strangers, [])
}

/** Installs by hand: the package and, beside it, links to what its manifest names. */
function install(): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-dist-'))
  const modules = join(folder, 'node_modules')
  cpSync(dist, join(modules, 'sluice-mcp'), { recursive: true })
  for (const name of Object.keys(manifest.dependencies)) {
    mkdirSync(join(modules, name, '..'), { recursive: true })
    symlinkSync(join(root, 'node_modules', name), join(modules, name))
  }
  return folder
}

function checkUse(folder: string): void {
  const sluice = join(folder, 'node_modules/sluice-mcp', manifest.bin['sluice'] ?? '')
  const run = (...args: string[]): string => execFileSync(process.execPath, args, { cwd: folder, encoding: 'utf8' })
  assert.equal(run(sluice, '--version').trim(), manifest.version)
  writeFileSync(join(folder, 'policy.yaml'), 'interceptors: [audit, hello]\n')
  mkdirSync(join(folder, 'mine'))
  writeFileSync(join(folder, 'mine/hello.ts'), HELLO)
  run(sluice, 'check', 'policy.yaml', '--interceptors', 'mine')
  writeFileSync(join(folder, 'test.mjs'), TEST)
  assert.equal(run('test.mjs').trim(), 'denied')
}

const HELLO = `import { defineInterceptor, Verdict, z } from 'sluice-mcp/api'

export default defineInterceptor({
  name: 'hello',
  summary: 'Refuses everything.',
  options: z.object({}),
  looks: { request: { need: 'envelope' } },
  onFailure: 'closed',
  create: () => ({ request: () => Verdict.deny('denied', 'no') }),
})
`
const TEST = `import { probe } from 'sluice-mcp/testing'
import hello from './mine/hello.ts'
const p = await probe(hello)
console.log((await p.request({ method: 'ping' })).verdict.code)
`

checkManifest()
checkFiles()
const folder = install()
try {
  checkUse(folder)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
process.stdout.write('dist: manifest, files, command line, #api and #testing are right\n')
