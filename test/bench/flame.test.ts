import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type CpuProfile, cpuTree, type HeapProfile, heapTree, topFrames } from '../../bench/harness/flame.ts'
import { flamePage } from '../../bench/harness/flame-page.ts'

const frame = (functionName: string, url = '', lineNumber = 0) => ({ functionName, url, lineNumber })

const CPU: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame('(root)'), children: [2, 5] },
    { id: 2, callFrame: frame('onBody', 'file:///somewhere/proxy/downstream/visit.ts', 108), children: [3, 4] },
    { id: 3, callFrame: frame('scan', 'file:///somewhere/proxy/message/scan.ts', 30) },
    { id: 4, callFrame: frame('parse', 'file:///somewhere/node_modules/x/<i>.js', 0) },
    { id: 5, callFrame: frame('(idle)') },
  ],
  samples: [3, 3, 5, 4, 2],
  timeDeltas: [100, 200, 5000, 50, 25],
}

describe('a CPU profile', () => {
  it('becomes a tree of times, without idle time', () => {
    const tree = cpuTree(CPU)
    assert.equal(tree.total, 375)
    const [visit] = [...tree.children.values()]
    assert.deepEqual([visit?.name, visit?.place, visit?.total], ['onBody', 'proxy/downstream/visit.ts:109', 375])
    const below = [...(visit?.children.values() ?? [])].map(({ place, total }) => [place, total])
    assert.deepEqual(below, [
      ['proxy/message/scan.ts:31', 300],
      ['x/<i>.js:1', 50],
    ])
  })

  it('tells what took most by itself', () => {
    assert.deepEqual(topFrames(cpuTree(CPU), 2), [
      { name: 'scan proxy/message/scan.ts:31', own: 300 },
      { name: 'parse x/<i>.js:1', own: 50 },
    ])
  })

  it('becomes a page that asks for nothing from elsewhere', () => {
    const page = flamePage('a <test>', [{ title: 'CPU', root: cpuTree(CPU), format: value => `${value} us` }])
    assert.match(page, /default-src 'none'/)
    assert.doesNotMatch(page, /https?:|src=|<i>|<test>/)
    assert.equal(page.match(/<b style=/g)?.length, 4)
    assert.match(page, /left:0\.000%;width:80\.000%[^>]*title="scan /)
  })
})

describe('an allocation profile', () => {
  it('becomes a tree of bytes', () => {
    const leaf = { callFrame: frame('make', 'file:///x/interceptors/a.ts', 1), selfSize: 70, children: [] }
    const twice = { callFrame: frame('run'), selfSize: 20, children: [leaf, leaf] }
    const profile: HeapProfile = { head: { callFrame: frame('(root)'), selfSize: 10, children: [twice] } }
    const tree = heapTree(profile)
    assert.equal(tree.total, 170)
    assert.equal([...(tree.children.get('run ')?.children.values() ?? [])][0]?.total, 140)
  })
})
