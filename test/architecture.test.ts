import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { findCycles, forbiddenImports, isKebabCase, median } from './architecture/rules.ts'
import { listFiles, readProject } from './architecture/source.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')

const MAX_FILE_LINES = 500
const MEDIAN_FILE_LINES = 120
const MAX_FUNCTION_LINES = 80
const MEDIAN_FUNCTION_LINES = 10

/** Rooms a request passes through: no `async` function there, because each call of one makes a promise. */
const REQUEST_PATH = ['proxy/chain/', 'proxy/message/', 'proxy/upstream/', 'proxy/downstream/']

/** Async functions in those rooms that no request runs through, and why they are there. */
const ASYNC_ALLOWED: Readonly<Record<string, { readonly names: readonly string[]; readonly reason: string }>> = {
  'proxy/chain/rename.ts': {
    names: ['fixHeaders', 'learn'],
    reason:
      'only for a call that an interceptor edited and that mirrors arguments in headers: it may ask for the schema',
  },
  'proxy/upstream/reachability.ts': {
    names: ['Reachability.#probe'],
    reason: 'answers the admin endpoint, no request of a client',
  },
}

const files = readProject(ROOT)
const product = files.filter(file => !file.path.startsWith('test/') && !file.path.endsWith('.test.ts'))

describe('the architecture', () => {
  it('is read from the whole tree', () => {
    const onDisk = listFiles(ROOT, ['proxy', 'interceptors', 'test', 'bench', 'deploy'])
    assert.deepEqual(
      files.map(file => file.path).toSorted(),
      onDisk.filter(path => path.endsWith('.ts')),
    )
  })

  it('obeys the import table', () => {
    assert.deepEqual(files.flatMap(forbiddenImports), [])
  })

  it('has no import cycle', () => {
    assert.deepEqual(findCycles(files), [])
  })

  it('has no barrel but the contract', () => {
    const barrels = files.filter(file => file.barrel).map(file => file.path)
    assert.deepEqual(barrels, ['proxy/api/index.ts'])
  })

  it('names its files in kebab-case', () => {
    const sources = listFiles(ROOT, ['proxy', 'interceptors', 'test', 'bench', 'deploy'])
    const code = sources.filter(path => /\.[cm]?[jt]s$/.test(path))
    assert.deepEqual(
      code.filter(path => !isKebabCase(path)),
      [],
    )
  })

  it(`keeps files to ${MAX_FILE_LINES} lines, half of them to ${MEDIAN_FILE_LINES}`, () => {
    const tooLong = files.filter(file => file.lines > MAX_FILE_LINES).map(file => `${file.path}: ${file.lines} lines`)
    assert.deepEqual(tooLong, [])
    const middle = median(product.map(file => file.lines))
    assert.ok(middle <= MEDIAN_FILE_LINES, `the median file has ${middle} lines`)
  })

  it(`keeps functions to ${MAX_FUNCTION_LINES} lines, half of them to ${MEDIAN_FUNCTION_LINES}`, () => {
    const tooLong = files.flatMap(file =>
      file.functions
        .filter(one => one.lines > MAX_FUNCTION_LINES && !(file.path.startsWith('test/') && one.declaresTests))
        .map(one => `${file.path}:${one.line}: ${one.name} has ${one.lines} lines`),
    )
    assert.deepEqual(tooLong, [])
    const middle = median(product.flatMap(file => file.functions.map(one => one.lines)))
    assert.ok(middle <= MEDIAN_FUNCTION_LINES, `the median function has ${middle} lines`)
  })

  it('has no async function on the request path', () => {
    const found = files
      .filter(file => REQUEST_PATH.some(room => file.path.startsWith(room)))
      .flatMap(file =>
        file.asyncs
          .filter(one => !ASYNC_ALLOWED[file.path]?.names.includes(one.name))
          .map(one => `${file.path}:${one.line}: ${one.name}`),
      )
    assert.deepEqual(found, [])
  })

  it('allows no async function that is not there', () => {
    for (const [path, { names }] of Object.entries(ASYNC_ALLOWED)) {
      const present = files.find(file => file.path === path)?.asyncs.map(one => one.name) ?? []
      const gone = names.filter(name => !present.includes(name))
      assert.deepEqual(gone, [], `${path}: take it out of ASYNC_ALLOWED`)
    }
  })
})
