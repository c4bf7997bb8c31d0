import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { findCycles, forbiddenImports, isKebabCase, median, packagesOf } from './rules.ts'
import { readSamples } from './source.ts'

describe('the import rules', () => {
  it('let a room use its row, its own folder, packages and node', () => {
    refuse(
      'proxy/chain/run.ts',
      `import './guard.ts'; import 'undici'; import 'node:fs'; import '../message/scan.ts'`,
      [],
    )
    refuse('proxy/chain/run.ts', `import type { Plan } from '../policy/plan.ts'`, [])
    refuse('proxy/downstream/http.ts', `import { Relay } from '../chain/relay.ts'`, [])
    refuse('proxy/main.ts', `import { a } from './chain/run.ts'; import { b } from './observe/log.ts'`, [])
    refuse('interceptors/jq/jq.ts', `import { z } from '#api'; import './sub/x.ts'; import 'ajv'; import 'node:fs'`, [])
    refuse('interceptors/jq/jq.test.ts', `import { probe } from '#testing'`, [])
  })

  it('refuse what the row does not name', () => {
    refuse('proxy/chain/run.ts', `import { Plan } from '../policy/plan.ts'`, [
      'proxy/chain/run.ts:1: proxy/chain may import only types of proxy/policy/plan.ts: write "import type"',
    ])
    refuse('proxy/chain/run.ts', `\nimport type { X } from '../policy/load.ts'`, [
      'proxy/chain/run.ts:2: proxy/chain may not import proxy/policy/load.ts',
    ])
    refuse('proxy/upstream/pool.ts', `import { x } from '../observe/log.ts'`, [
      'proxy/upstream/pool.ts:1: proxy/upstream may not import proxy/observe/log.ts',
    ])
    refuse('proxy/base/lru.ts', `import { x } from '#api'`, [
      'proxy/base/lru.ts:1: "#api": inside proxy, import files by relative path',
    ])
    refuse(
      'proxy/observe/admin.ts',
      `import type { Server } from 'node:http'; import { createServer } from 'node:http'`,
      [
        'proxy/observe/admin.ts:1: "node:http" costs memory and time at start: take it from proxy/base/node-modules.ts, or write "import type"',
      ],
    )
    refuse('proxy/attic/x.ts', `import { x } from '../base/lru.ts'`, [
      'proxy/attic/x.ts:1: proxy/attic has no row in the import table (test/architecture/rules.ts)',
    ])
    refuse('interceptors/jq/jq.ts', `import { x } from '../../proxy/base/lru.ts'`, [
      'interceptors/jq/jq.ts:1: "../../proxy/base/lru.ts": an interceptor may import only "#api", its own folder and packages',
    ])
    refuse('interceptors/jq/jq.ts', `const x = await import('../csv/csv.ts')`, [
      'interceptors/jq/jq.ts:1: "../csv/csv.ts": an interceptor may import only "#api", its own folder and packages',
    ])
  })

  it('find a cycle of code, and one of types that leads through folders', () => {
    const files = readSamples({
      'a.ts': `import './b.ts'`,
      'b.ts': `import type { C } from './sub/c.ts'`,
      'sub/c.ts': `import '../a.ts'`,
      'd.ts': `import './a.ts'`,
      'x.ts': `import { y } from './y.ts'`,
      'y.ts': `import { x } from './x.ts'`,
      'one.ts': `import { two } from './two.ts'`,
      'two.ts': `import type { One } from './one.ts'`,
    })
    assert.deepEqual(findCycles(files), [
      ['x.ts', 'y.ts', 'x.ts'],
      ['a.ts', 'b.ts', 'sub/c.ts', 'a.ts'],
    ])
  })

  it('name the packages used at run time', () => {
    const text = `import '@a/b/c'; import 'd/e'; import type { F } from 'f'; import 'node:fs'; import './g.ts'`
    assert.deepEqual(readSamples({ 'a.ts': text }).flatMap(packagesOf), ['@a/b', 'd'])
  })

  it('know kebab-case and the median', () => {
    for (const path of ['a/no-weekend-deploys.ts', 'http.ts', 'scan.test.ts', 'x.mjs', 'sha256.ts']) {
      assert.equal(isKebabCase(path), true, path)
    }
    for (const path of ['a/noWeekend.ts', 'No.ts', 'a_b.ts', 'a--b.ts', '-a.ts'])
      assert.equal(isKebabCase(path), false, path)
    assert.deepEqual([median([]), median([3]), median([1, 9]), median([9, 1, 2])], [0, 3, 5, 2])
  })
})

function refuse(path: string, text: string, expected: readonly string[]): void {
  assert.deepEqual(readSamples({ [path]: text }).flatMap(forbiddenImports), expected)
}
