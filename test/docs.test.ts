import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { loadBenchScenario } from '../bench/harness/scenario.ts'
import { ERRORS } from '../proxy/api/index.ts'
import { parseByteSize, parseDuration } from '../proxy/api/units.ts'
import { DEFAULTS } from '../proxy/config/config.ts'
import { loadConfig } from '../proxy/config/load.ts'
import { readMcpJson } from '../proxy/config/mcp-json.ts'
import { serversGiven } from '../proxy/config/resolve-servers.ts'
import { configJsonSchema } from '../proxy/config/schema.ts'
import { UPSTREAM_DEFAULTS } from '../proxy/config/servers/upstream-keys.ts'
import { loadScenario } from '../proxy/load/scenario.ts'
import { compilePolicies } from '../proxy/policy/compile.ts'
import { policyJsonSchema } from '../proxy/policy/json-schema.ts'
import { Registry } from '../proxy/policy/registry.ts'
import { Demo } from './docs/demo.ts'
import { documents, type Fence, fileLinks, readFences, tableRows, uncode } from './docs/markdown.ts'
import { policyInput } from './docs/policy-input.ts'
import { leafPaths, propertiesOf } from './docs/schema-paths.ts'
import { checkShellLine } from './docs/shell.ts'
import { fencePath, Workspace } from './docs/workspace.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url)).replace(/\/$/, '')
const all = documents(ROOT)
const fences = all.flatMap(document => readFences(ROOT, document))

describe('TypeScript examples', () => {
  const workspace = new Workspace(ROOT)
  after(() => workspace.remove())
  const examples = fences.filter(fence => fence.language === 'ts')
  const files = examples.map(fence => workspace.writeFence(fence))

  it('are type-checked', () => {
    assert.ok(files.length > 0)
    assert.equal(workspace.typecheck(), '')
  })

  for (const fence of examples.filter(example => fencePath(example).endsWith('.test.ts'))) {
    it(`pass: ${fencePath(fence)} in ${fence.document}`, () => {
      assert.equal(workspace.runTest(join(workspace.dir, fencePath(fence))), '')
    })
  }
})

describe('YAML examples', () => {
  const workspace = new Workspace(ROOT)
  after(() => workspace.remove())
  for (const fence of fences.filter(one => one.language === 'yaml')) {
    it(`${place(fence)} (${fence.marker})`, () => checkYaml(fence, workspace))
  }
})

describe('JSON examples', () => {
  for (const fence of fences.filter(one => one.language === 'json')) {
    it(place(fence), () => assert.doesNotThrow(() => JSON.parse(fence.text)))
  }
})

describe("lists of clients' servers", () => {
  const workspace = new Workspace(ROOT)
  after(() => workspace.remove())
  for (const fence of fences.filter(one => one.language === 'json' && one.marker === 'mcp')) {
    it(place(fence), () => {
      const file = workspace.write(`${fence.line}/mcp.json`, '\n'.repeat(fence.line - 1) + fence.text)
      const { servers, source, warnings } = readMcpJson(file, { API_KEY: 'for-docs' })
      assert.deepEqual(warnings, [])
      assert.ok(serversGiven(servers, source).length > 0)
    })
  }
})

describe('shell examples', () => {
  for (const fence of fences.filter(one => one.language === 'sh')) {
    it(place(fence), () => {
      for (const line of fence.text.split('\n'))
        assert.equal(checkShellLine(line, ROOT), '', `${place(fence)}: ${line}`)
    })
  }
})

describe('shell examples that talk to the demo', () => {
  let demo: Demo
  before(async () => {
    demo = await Demo.start(ROOT)
  })
  after(() => demo.stop())
  for (const fence of fences.filter(one => one.language === 'sh' && one.marker.startsWith('demo'))) {
    it(place(fence), async () => {
      const output = await demo.run(fence.text)
      if (fence.marker === 'demo denied') assert.match(output, /"message":"Access denied: /)
      else assert.doesNotMatch(output, /^$|"error"|"isError":true/)
    })
  }
})

describe('the README, read in order', () => {
  const workspace = new Workspace(ROOT)
  after(() => workspace.remove())
  const own = fences.filter(fence => fence.document === 'README.md')

  it('makes a configuration and a policy that are right, and explains them', () => {
    workspace.write('sluice.yaml', own.find(fence => fence.marker === 'config')?.text ?? '')
    workspace.write('policy.yaml', own.find(fence => fence.marker === 'policy')?.text ?? '')
    const lines = own.flatMap(fence => fence.text.split('\n')).filter(line => / sluice -- (check|explain) /.test(line))
    assert.equal(lines.length, 2)
    for (const line of lines) assert.equal(workspace.runSluice(line.split(' -- ')[1] ?? ''), '', line)
  })
})

describe('links', () => {
  it('lead to files that are there', () => {
    const broken = all.flatMap(document =>
      fileLinks(readFileSync(join(ROOT, document), 'utf8'))
        .filter(target => !existsSync(join(ROOT, dirname(document), target)))
        .map(target => `${document}: ${target}`),
    )
    assert.deepEqual(broken, [])
  })
})

describe('docs/errors.md', () => {
  it('has the error table as it is', () => {
    const rows = tableRows(text('docs/errors.md'), ['code', 'number', 'HTTP', 'source'])
    const written = rows.map(([code = '', ...rest]) => [uncode(code), ...rest.slice(0, 5)])
    const real = Object.entries(ERRORS).map(([code, { rpc, http, source, retry, actionable }]) => {
      return [code, String(rpc), String(http), source, retry, actionable ? 'result' : 'error']
    })
    assert.deepEqual(written, real)
    for (const row of rows) assert.ok((row[6] ?? '').length > 5, `${row[0]} says when it happens`)
  })
})

describe('docs/configuration.md', () => {
  const rows = tableRows(text('docs/configuration.md'), ['key', 'default', 'meaning'])

  it('has every key there is, and no other', () => {
    const written = rows.map(([key = '']) => uncode(key))
    const real = leafPaths(configJsonSchema()).filter(path => path !== '$schema')
    assert.deepEqual(written.toSorted(), real.toSorted())
  })

  it('has the defaults as they are', () => {
    for (const [key = '', given = ''] of rows) {
      const real = defaultOf(uncode(key))
      if (real !== undefined) assert.deepEqual(readDefault(uncode(given), real), real, `${key}: ${given}`)
    }
  })
})

describe('docs/redis.md', () => {
  it('has every key of store.redis, and no other', () => {
    const rows = tableRows(text('docs/redis.md'), ['key of `store.redis`', 'default', 'meaning'])
    const real = propertiesOf(configJsonSchema(), 'sentinels')
    assert.deepEqual(rows.map(([key = '']) => uncode(key)).toSorted(), real.toSorted())
  })
})

describe('docs/fleet/credentials.md', () => {
  const keysOf = (header: string): string[] =>
    tableRows(text('docs/fleet/credentials.md'), [header])
      .flatMap(([cell = '']) => cell.split(', '))
      .map(key => uncode(key).replace('.<name>', ''))
      .toSorted()

  it('has every key of a credential, and no other', () => {
    assert.deepEqual(keysOf('key of a credential'), propertiesOf(configJsonSchema(), 'connection_string').toSorted())
  })

  it('has every key of a token, and no other', () => {
    const [refresh, oauth] = ['refresh_token', 'token_url'].map(key => propertiesOf(configJsonSchema(), key))
    assert.deepEqual(
      keysOf('key of `refresh` and `oauth`'),
      [...new Set([...(refresh ?? []), ...(oauth ?? [])])].toSorted(),
    )
  })
})

describe('docs/interceptors.md', () => {
  it('has every key of a chain entry, and no other', () => {
    const rows = tableRows(text('docs/interceptors.md'), ['key of a chain entry'])
    const real = propertiesOf(policyJsonSchema(Registry.of([])), 'use')
    assert.deepEqual(rows.map(([key = '']) => uncode(key)).toSorted(), real.toSorted())
  })
})

async function checkYaml(fence: Fence, workspace: Workspace): Promise<void> {
  const file = workspace.write(`${fence.line}/sluice.yaml`, '\n'.repeat(fence.line - 1) + fence.text)
  if (fence.marker === 'policy') {
    const custom = fences.filter(one => one.marker.startsWith('file=interceptors/'))
    for (const one of custom) workspace.writeFence(one)
    const compiled = await compilePolicies(await policyInput(ROOT, file, [join(workspace.dir, 'interceptors/custom')]))
    assert.deepEqual(compiled.warnings, [])
  } else if (fence.marker === 'scenario') {
    loadScenario(file, {})
  } else if (fence.marker === 'bench-scenario') {
    loadBenchScenario(file)
  } else {
    assert.match(fence.marker, /^(config|keys)$/, `${place(fence)}: say "yaml policy", "yaml config" or "yaml keys"`)
    const { warnings } = loadConfig(file, { env: {}, allowNoServers: fence.marker === 'keys' })
    assert.deepEqual(warnings, [])
  }
}

function place(fence: Fence): string {
  return `${fence.document}:${fence.line}`
}

function text(document: string): string {
  return readFileSync(join(ROOT, document), 'utf8')
}

/** What the code says: `limits.max_depth` → 128; `undefined` where it has no single value. */
function defaultOf(key: string): unknown {
  const path = key.split('.').map(part => part.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase()))
  const [group = '', name = ''] = path
  if (group === 'servers') return path.length === 3 ? serverDefault(path[2] ?? '') : undefined
  if (path.length === 1) return (DEFAULTS as Record<string, unknown>)[group]
  const section = (DEFAULTS as unknown as Record<string, Record<string, unknown>>)[group]
  return section?.[group === 'timeouts' ? `${name}Ms` : name]
}

function serverDefault(name: string): unknown {
  const all: Record<string, unknown> = { ...UPSTREAM_DEFAULTS, connections: DEFAULTS.connections }
  const value = all[name] ?? all[`${name}Ms`]
  return typeof value === 'object' ? undefined : value
}

function readDefault(given: string, like: unknown): unknown {
  if (typeof like === 'boolean') return given === 'on' || given === 'true'
  if (typeof like === 'number') return parseByteSize(given) ?? parseDuration(given)
  if (typeof like === 'object' && like !== null && 'port' in like) {
    const [host, port] = given.split(':')
    return { host, port: Number(port) }
  }
  return given
}
