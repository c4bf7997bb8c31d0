import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { isInterceptor } from '#api'
import { LoadError } from '../../../proxy/base/diagnostic.ts'
import { Registry } from '../../../proxy/policy/registry.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'registry-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

function write(name: string, text: string): string {
  const file = join(dir, name)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, text)
  return file
}

const source = (name: string, summary = "'x'", imports = "import { defineInterceptor, z } from '#api'"): string =>
  `${imports}\nexport default defineInterceptor({ name: '${name}', summary: ${summary}, options: z.object({}), looks: {}, onFailure: 'open', create: () => ({}) })\n`

const load = (dirs: string[] = [dir], modules: string[] = []): Promise<Registry> =>
  Registry.load({ dirs, modules, baseDir: dir })

async function failure(dirs?: string[], modules?: string[]): Promise<string[]> {
  try {
    await load(dirs, modules)
  } catch (error) {
    assert.ok(error instanceof LoadError)
    return error.message.replaceAll(`${dir}/`, '').split('\n')
  }
  throw new Error('it was accepted')
}

const summaryOf = (registry: Registry, name: string): string | undefined => registry.get(name)?.interceptor.summary

describe('the registry', () => {
  it('finds what comes with the proxy', async () => {
    const registry = await load([])
    for (const name of ['access', 'audit']) assert.equal(registry.get(name)?.origin, 'built-in')
    const names = registry.list().map(entry => entry.interceptor.name)
    assert.deepEqual(names, [...names].sort())
    assert.equal(registry.nearest('acess'), 'access')
    assert.equal(registry.get('nowhere'), undefined)
  })

  it('knows built-in ones that nobody wanted by name', async () => {
    write('schema.ts', source('schema'))
    const registry = await Registry.load({ dirs: [], modules: [], baseDir: dir, builtIns: new Set(['access']) })
    assert.equal(registry.get('access')?.origin, 'built-in')
    assert.equal(registry.get('schema'), undefined)
    assert.deepEqual(registry.names(), (await load([])).names())
    assert.equal(registry.nearest('shcema'), 'schema')
    const taken = Registry.load({ dirs: [dir], modules: [], baseDir: dir, builtIns: new Set() })
    await assert.rejects(taken, /interceptor "schema" is there already, from a built-in interceptor/)
  })

  it("finds users' modules, in TypeScript and JavaScript, that import #api from anywhere", async () => {
    const one = write('one.ts', source('one', "'x' as string"))
    write('two.js', source('two', "'x'", "import { defineInterceptor, z } from 'sluice-mcp/api'"))
    write('three/three.mjs', source('three'))
    write('three/helper.ts', 'throw new Error()')
    write('both.ts', `${source('b').replace('export default', 'const b =')}export default [b, { ...b, name: 'c' }]`)
    for (const name of ['one.test.ts', 'one.d.ts', '_hidden.ts', '.hidden.js', 'README.md', 'other/x.ts'])
      write(name, 'throw 1')
    const registry = await load()
    for (const name of ['one', 'two', 'three', 'b', 'c'])
      assert.ok(isInterceptor(registry.get(name)?.interceptor), name)
    assert.equal(registry.get('one')?.origin, one)
  })

  it('lets them import #testing', async () => {
    write('one.ts', `import { probe } from '#testing'\n${source('one', 'typeof probe')}`)
    assert.equal(summaryOf(await load(), 'one'), 'function')
  })

  it('takes a package by its name, as seen from the folder of the configuration', async () => {
    write('node_modules/sluice-x/package.json', '{"name":"sluice-x","type":"module","exports":{"import":"./main.js"}}')
    write('node_modules/sluice-x/main.js', source('from-package'))
    write('node_modules/@me/y/package.json', '{"name":"@me/y","type":"module","exports":{"./sub":"./sub.js"}}')
    write('node_modules/@me/y/sub.js', source('from-sub'))
    const registry = await load([], ['sluice-x', '@me/y/sub'])
    assert.equal(registry.get('from-package')?.origin, 'sluice-x')
    assert.equal(registry.get('from-sub')?.origin, '@me/y/sub')
    assert.match((await failure([], ['nowhere']))[0] ?? '', /^nowhere: cannot be imported: .*Cannot find package/)
  })

  it('sees changes, of a module and of what it imports', async () => {
    write(
      'one.ts',
      source('one', 'text', "import { defineInterceptor, z } from '#api'\nimport { text } from './lib/text.ts'"),
    )
    write('lib/text.ts', "export const text = 'first'\n")
    assert.equal(summaryOf(await load(), 'one'), 'first')
    write('lib/text.ts', "export const text = 'second one'\n")
    assert.equal(summaryOf(await load(), 'one'), 'second one')
    write('one.ts', source('one', "'third'"))
    assert.equal(summaryOf(await load(), 'one'), 'third')
  })

  it('does not import again what did not change', async () => {
    write('one.ts', source('one'))
    const first = (await load()).get('one')?.interceptor
    assert.equal((await load()).get('one')?.interceptor, first)
  })

  it('names every module that cannot be used', async () => {
    write('a-throws.ts', 'const x: number = 1\nthrow new Error(`no ${x}`)\n')
    write('b-syntax.ts', 'export default {\n')
    write('c-none.ts', 'export default { name: "x" }\n')
    write('d-nothing.ts', 'export const x = 1\n')
    write('e-import.ts', "import 'nowhere-at-all'\n")
    write('f-name.ts', source('Bad_Name'))
    const found = await failure([dir, join(dir, 'no-such-dir')])
    assert.match(found[0] ?? '', /^no-such-dir: interceptor_dirs: no such folder$|no-such-dir/)
    assert.match(found[1] ?? '', /^a-throws\.ts:2: cannot be imported: Error: no 1$/)
    assert.match(found[2] ?? '', /^b-syntax\.ts.*: cannot be imported: /)
    assert.match(found[3] ?? '', /^c-none\.ts: no interceptor: expected "export default defineInterceptor/)
    assert.match(found[4] ?? '', /^d-nothing\.ts: no interceptor/)
    assert.match(found[5] ?? '', /^e-import\.ts.*: cannot be imported: .*nowhere-at-all/)
    assert.match(found[6] ?? '', /^f-name\.ts.*: cannot be imported: .*kebab-case/)
    assert.equal(found.length, 7)
  })

  it('names both files of a name that is taken twice', async () => {
    write('a.ts', source('same'))
    write('b.ts', source('same'))
    write('c.ts', source('audit'))
    assert.deepEqual(await failure(), [
      `b.ts: interceptor "same" is there already, from a.ts: rename one of the two`,
      'c.ts: interceptor "audit" is there already, from a built-in interceptor: rename one of the two',
    ])
  })
})
