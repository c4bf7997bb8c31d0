import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Hooks, Kind, Look } from '#api'
import { defineInterceptor, z } from '#api'
import { type ChainEntry, chainEntry } from '../../../proxy/policy/chain-entry.ts'
import { Matcher, type MatchPatterns } from '../../../proxy/policy/match.ts'
import { METHODS, SERVER_REQUEST_METHODS } from '../../../proxy/policy/methods.ts'
import type { Plan } from '../../../proxy/policy/plan.ts'
import { PolicyTable } from '../../../proxy/policy/table.ts'

const KINDS: readonly Kind[] = ['request', 'response', 'notification']

interface Spec {
  readonly match: MatchPatterns
  readonly looks: { readonly [K in Kind]?: Look }
  readonly end: boolean
}

function entryOf(spec: Spec, slot: number, close?: () => void): ChainEntry {
  const interceptor = defineInterceptor({
    name: 'x',
    summary: '',
    options: z.object({}),
    looks: spec.looks,
    onFailure: 'open',
    create: () => ({}),
  })
  const hooks: Hooks<unknown> = {}
  for (const kind of KINDS) if (spec.looks[kind] !== undefined) hooks[kind] = () => undefined
  if (spec.end) hooks.end = () => undefined
  if (close !== undefined) hooks.close = close
  const raw = { use: 'x', mode: 'enforce', answer: 'auto' } as const
  return chainEntry({ slot, name: `x${slot}`, interceptor, matcher: new Matcher(spec.match), raw }, hooks)
}

const EVERYWHERE: Spec = { match: {}, looks: { request: { need: 'json' } }, end: false }

function tableOf(specs: readonly Spec[], maxCachedPlans = 100): PolicyTable {
  return new PolicyTable({
    generation: 1,
    servers: ['a', 'b'],
    entries: specs.map((spec, i) => entryOf(spec, i)),
    maxCachedPlans,
  })
}

/** A plan as the slots that run, per direction and kind. */
function slots(plan: Plan): unknown {
  const phases = (['toServer', 'toClient'] as const).map(way =>
    KINDS.map(kind => plan[way][kind]?.steps.map(step => step.slot) ?? null),
  )
  return [phases, plan.ends?.map(step => step.slot) ?? null]
}

/** The same, told from the specification alone. */
function naive(specs: readonly Spec[], server: string, method: string, name: string, client: string): unknown {
  const one = (pattern: string, text: string): boolean => {
    const source = pattern
      .replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
      .replaceAll('\\*', '.*')
      .replaceAll('\\?', '.')
    return new RegExp(`^${source}$`, 's').test(text)
  }
  const list = (patterns: string | readonly string[] | undefined, text: string): boolean => {
    const all = patterns === undefined ? ['*'] : [patterns].flat()
    const plus = all.filter(pattern => !pattern.startsWith('!'))
    const minus = all.filter(pattern => pattern.startsWith('!'))
    return (plus.length === 0 || plus.some(p => one(p, text))) && !minus.some(p => one(p.slice(1), text))
  }
  const methods = method === '' ? SERVER_REQUEST_METHODS : [method]
  const fits = ({ match }: Spec): boolean =>
    list(match.server, server) &&
    list(match.name, name) &&
    list(match.client, client) &&
    methods.some(m => list(match.method, m))
  const phase = (kind: Kind, way: 'toServer' | 'toClient'): number[] | null => {
    const found = specs.flatMap((spec, slot) => {
      const look = spec.looks[kind]
      if (!fits(spec) || look === undefined || !(look.directions ?? ['toServer', 'toClient']).includes(way)) return []
      return methods.some(m => list(look.methods, m)) ? slot : []
    })
    if (found.length === 0) return null
    return way === 'toServer' ? found : found.reverse()
  }
  const ends = specs.flatMap((spec, slot) => (spec.end && fits(spec) ? slot : []))
  const phases = (['toServer', 'toClient'] as const).map(way => KINDS.map(kind => phase(kind, way)))
  return [phases, ends.length === 0 ? null : ends]
}

const serverGlob = fc.constantFrom('a', 'b', '*', '!a', 'c*', '?')
const methodGlob = fc.constantFrom('tools/*', 'tools/call', '*', '!tools/list', 'ping', 'sampling/*', 'x/y', '!*')
const nameGlob = fc.constantFrom('get_*', '*', '!get_x', 'get_x', '*/*', '?')
const clientGlob = fc.constantFrom('ci', '*', '!ci', 'c?')
const globs = (glob: fc.Arbitrary<string>) =>
  fc.option(fc.oneof(glob, fc.array(glob, { minLength: 1, maxLength: 3 })), { nil: undefined })
const directions = fc.constantFrom<Look['directions'][]>(
  undefined,
  ['toServer'],
  ['toClient'],
  ['toServer', 'toClient'],
)
const look: fc.Arbitrary<Look | undefined> = fc.option(
  fc.record({
    need: fc.constantFrom<Look['need']>('envelope', 'bytes', 'json'),
    directions,
    methods: fc.constantFrom(undefined, ['tools/*'], ['ping', '!x']),
  }) as fc.Arbitrary<Look>,
  { nil: undefined },
)
const spec: fc.Arbitrary<Spec> = fc.record({
  match: fc.record({
    server: globs(serverGlob),
    method: globs(methodGlob),
    name: globs(nameGlob),
    client: globs(clientGlob),
  }),
  looks: fc
    .record({ request: look, response: look, notification: look })
    .map(looks => JSON.parse(JSON.stringify(looks)) as Spec['looks']),
  end: fc.boolean(),
})
const question = fc.tuple(
  fc.constantFrom('a', 'b', 'c', ''),
  fc.constantFrom('tools/call', 'tools/list', 'ping', 'x/y', 'sampling/createMessage', '', 'strange'),
  fc.constantFrom('get_x', 'get_y', '', 'a/b', 'z'),
  fc.constantFrom('ci', 'cd', 'anonymous'),
)

describe('the plan table', () => {
  it('finds what a naive reading of the policy finds', () => {
    fc.assert(
      fc.property(
        fc.array(spec, { maxLength: 5 }),
        fc.array(question, { minLength: 1, maxLength: 12 }),
        (specs, questions) => {
          // A small cache, so that plans are also forgotten and made again.
          const table = tableOf(specs, 4)
          for (const [server, method, name, client] of [...questions, ...questions]) {
            assert.deepEqual(
              slots(table.find(server, method, name, client)),
              naive(specs, server, method, name, client),
            )
          }
        },
      ),
      { numRuns: 500 },
    )
  })

  it('gives the same plan again, and shares it between names', () => {
    const table = tableOf([EVERYWHERE, { ...EVERYWHERE, match: { name: 'get_*' } }])
    const plan = table.find('a', 'tools/call', 'get_x', 'ci')
    assert.equal(table.find('a', 'tools/call', 'get_x', 'ci'), plan)
    assert.equal(table.find('b', 'tools/call', 'get_y', 'cd'), plan)
    assert.notEqual(table.find('a', 'tools/call', 'set_x', 'ci'), plan)
  })

  it('remembers nothing by name where no entry asks for names', () => {
    const table = tableOf([EVERYWHERE])
    for (let i = 0; i < 50; i++) table.find('a', 'tools/call', `name-${i}`, `client-${i}`)
    assert.equal(table.cachedPlans, 0)
  })

  it('does not grow on hostile names, methods, servers and clients', () => {
    const table = tableOf([{ ...EVERYWHERE, match: { name: 'get_*', client: 'c*' } }], 100)
    for (let i = 0; i < 2000; i++) {
      table.find('a', 'tools/call', `get_${i}`, `c${i}`)
      table.find(`server-${i}`, 'tools/call', '', 'c')
      table.find('a', `method-${i}`, '', 'c')
      assert.ok(table.cachedPlans <= 100, `${table.cachedPlans} plans`)
    }
    const before = table.cachedPlans
    assert.notEqual(table.find('a', 'tools/call', `get_${'x'.repeat(10_000)}`, 'c').toServer.request, null)
    assert.equal(table.cachedPlans, before)
  })

  it('keeps what is in use while strangers pass', () => {
    const table = tableOf([{ ...EVERYWHERE, match: { name: 'get_*' } }], 100)
    const plan = table.find('a', 'tools/call', 'get_x', 'ci')
    for (let i = 0; i < 500; i++) {
      table.find('a', 'tools/call', `other-${i}`, 'ci')
      assert.equal(table.find('a', 'tools/call', 'get_x', 'ci'), plan)
    }
  })

  it('does not mix up clients and names', () => {
    const table = tableOf([{ ...EVERYWHERE, match: { name: 'b', client: 'a' } }])
    assert.notEqual(table.find('a', 'tools/call', 'b', 'a').toServer.request, null)
    assert.equal(table.find('a', 'tools/call', '', 'ab').toServer.request, null)
    assert.equal(table.find('a', 'tools/call', 'ab', '').toServer.request, null)
  })

  it('says what a phase needs', () => {
    const request = (need: Look['need'], more: Partial<Look> = {}): Spec => ({
      match: {},
      looks: { request: { need, ...more } },
      end: false,
    })
    const phase = (...specs: Spec[]) => tableOf(specs).find('a', 'tools/call', '', 'ci').toServer.request
    const { need, edits, maxBytes } =
      phase(request('bytes', { maxBytes: 10 }), request('json', { edits: true, maxBytes: 20 }), request('envelope')) ??
      {}
    assert.deepEqual([need, edits, maxBytes], ['json', true, 20])
    assert.equal(phase(request('envelope'))?.steps[0]?.maxBytes, Number.MAX_SAFE_INTEGER)
    assert.equal(phase(request('envelope'))?.maxBytes, 4 * 1024 * 1024)
    assert.equal(phase(request('json'))?.maxBytes, 4 * 1024 * 1024)
  })

  it('lets an entry see what its look always asks for, whatever match says of method and name', () => {
    const look: Look = { need: 'json', methods: ['tools/*'], always: ['tools/list'], directions: ['toClient'] }
    const match = { server: 'a', method: 'tools/call', name: 'get_*', client: 'ci' }
    const table = tableOf([{ match, looks: { request: { need: 'json' }, response: look }, end: true }])
    const sees = (server: string, method: string, name: string, client: string): boolean[] => {
      const plan = table.find(server, method, name, client)
      return [plan.toServer.request !== null, plan.toClient.response !== null, plan.ends !== null]
    }
    assert.deepEqual(sees('a', 'tools/call', 'get_x', 'ci'), [true, true, true])
    assert.deepEqual(sees('a', 'tools/call', 'set_x', 'ci'), [false, false, false])
    assert.deepEqual(sees('a', 'tools/list', '', 'ci'), [false, true, false])
    assert.deepEqual(sees('a', 'prompts/list', '', 'ci'), [false, false, false])
    assert.deepEqual(sees('b', 'tools/list', '', 'ci'), [false, false, false])
    assert.deepEqual(sees('a', 'tools/list', '', 'other'), [false, false, false])
  })

  it('knows who listens to what servers send on their own', () => {
    const heard = (looks: Spec['looks'], match: MatchPatterns = {}): boolean =>
      tableOf([{ match, looks, end: true }]).looksAtStreams('a', 'ci')
    assert.equal(heard({ request: { need: 'json' } }), true)
    assert.equal(heard({ notification: { need: 'json', directions: ['toClient'] } }), true)
    assert.equal(heard({ notification: { need: 'json', directions: ['toServer'] } }), false)
    assert.equal(heard({ response: { need: 'json' } }), false)
    assert.equal(heard({ request: { need: 'json' } }, { server: 'b' }), false)
    assert.equal(heard({ request: { need: 'json' } }, { client: '!ci' }), false)
  })

  it('is frozen', () => {
    const plan = tableOf([{ ...EVERYWHERE, end: true }]).find('a', 'tools/call', '', 'ci')
    for (const part of [plan, plan.toServer, plan.toServer.request, plan.toServer.request?.steps, plan.ends]) {
      assert.ok(Object.isFrozen(part))
    }
  })
})

describe('the end of a table', () => {
  it('comes when it was replaced and its last exchange has ended, entries closed in reverse', async () => {
    const closed: number[] = []
    const entries = [0, 1].map(slot => entryOf(EVERYWHERE, slot, () => closed.push(slot)))
    const table = new PolicyTable({ generation: 1, servers: [], entries })
    table.retain()
    table.retain()
    table.release()
    const end = table.replace()
    assert.deepEqual(closed, [])
    table.release()
    await end
    assert.deepEqual(closed, [1, 0])
    assert.equal(await table.replace(), undefined)
    assert.deepEqual(closed, [1, 0])
  })

  it('comes at once when nobody uses it, and one bad close does not stop the others', async () => {
    const closed: number[] = []
    const bad = (): void => {
      throw new Error('no')
    }
    const entries = [entryOf(EVERYWHERE, 0, () => closed.push(0)), entryOf(EVERYWHERE, 1, bad)]
    await new PolicyTable({ generation: 1, servers: [], entries }).replace()
    assert.deepEqual(closed, [0])
  })

  it('does not come before it is replaced', () => {
    const closed: number[] = []
    const table = new PolicyTable({
      generation: 1,
      servers: [],
      entries: [entryOf(EVERYWHERE, 0, () => closed.push(0))],
    })
    table.retain()
    table.release()
    assert.deepEqual(closed, [])
  })
})

describe('the methods', () => {
  it('that servers may ask clients are known', () => {
    for (const method of ['sampling/createMessage', 'elicitation/create', 'roots/list']) {
      assert.ok(SERVER_REQUEST_METHODS.includes(method))
    }
    assert.ok(METHODS.size > 30)
  })
})
