import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { z } from 'zod'
import { formatDiagnostic } from '../../../proxy/base/diagnostic.ts'
import { MAX_YAML_BYTES, parseYaml, readYaml } from '../../../proxy/base/read-yaml.ts'
import { validate } from '../../../proxy/base/validate.ts'
import { formatPath } from '../../../proxy/base/yaml-source.ts'

const dir = mkdtempSync(join(tmpdir(), 'yaml-'))
after(() => rmSync(dir, { recursive: true }))

const parse = (text: string, env: NodeJS.ProcessEnv = {}) => parseYaml(text, 'f.yaml', env)

function problems(text: string, schema: z.ZodType, env: NodeJS.ProcessEnv = {}): string[] {
  const source = parse(text, env)
  assert.deepEqual(source.diagnostics, [])
  return validate(source, schema).diagnostics.map(formatDiagnostic)
}

describe('environment references in YAML', () => {
  it('are typed anew where they stand alone and without quotes', () => {
    const env = { PORT: '8080', YES: 'true', ZIP: '007', BIG: '1e400' }
    const text = 'a: ${PORT}\nb: "${PORT}"\nc: ${YES}\nd: ${ZIP}\ne: x${PORT}\nf: ${BIG}\ng: ${NONE:-1.5}\n'
    assert.deepEqual(parse(text, env).value, { a: 8080, b: '8080', c: true, d: '007', e: 'x8080', f: '1e400', g: 1.5 })
  })

  it('are text again where the schema wants text', () => {
    const schema = z.strictObject({
      token: z.string(),
      list: z.array(z.union([z.string(), z.boolean()])),
      n: z.number(),
    })
    const source = parse('token: ${T}\nlist: ["${T}", x]\nn: ${T}\n', { T: '12345678' })
    assert.deepEqual(validate(source, schema).value, { token: '12345678', list: ['12345678', 'x'], n: 12345678 })
  })

  it('are left alone in keys and in comments', () => {
    assert.deepEqual(parse('# ${NOPE}\n"${K}": 1\n').value, { '${K}': 1 })
  })

  it('never show their values', () => {
    const schema = z.strictObject({
      a: z.number(),
      b: z.string().refine(() => false, { error: issue => `refused: ${String(issue.input)}` }),
      c: z.enum(['x', 'y']),
    })
    const found = problems('a: ${S}\nb: pre-${S}\nc: "${S}"\n', schema, { S: 'hunter2hunter2' })
    assert.deepEqual(found, [
      'f.yaml:1:4: a: expected a number, got the value of ${S}',
      'f.yaml:2:4: b: refused: pre-***',
      'f.yaml:3:4: c: expected one of x, y, got the value of ${S}',
    ])
  })
})

describe('YAML', () => {
  it('is one document of at most 4 MiB of UTF-8', () => {
    const file = join(dir, 'x.yaml')
    const text = (content: string | Buffer): string | undefined => {
      writeFileSync(file, content)
      return readYaml(file, {}).diagnostics[0]?.text
    }
    assert.match(text('a: 1\n---\nb: 2\n') ?? '', /second document/)
    assert.match(text(Buffer.from([0x61, 0xff])) ?? '', /expected UTF-8/)
    assert.match(text(Buffer.alloc(MAX_YAML_BYTES + 1, 0x20)) ?? '', /expected at most/)
    assert.equal(text('\ufeffa: 1\r\nb: [x, y]\r\n'), undefined)
    assert.match(readYaml(join(dir, 'none.yaml'), {}).diagnostics[0]?.text ?? '', /no such file/)
    assert.match(readYaml(dir, {}).diagnostics[0]?.text ?? '', /got a folder/)
  })

  it('knows anchors, and stops those that unfold without end', () => {
    assert.deepEqual(parse('a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\n').value, {
      a: { x: 1 },
      b: { x: 1 },
      c: { x: 1, y: 2 },
    })
    const bomb = ['a0: &a0 [x, x]', ...Array.from({ length: 30 }, (_, i) => `a${i + 1}: &a${i + 1} [*a${i}, *a${i}]`)]
    assert.match(parse(bomb.join('\n')).diagnostics[0]?.text ?? '', /anchors .* unfold to too much/)
  })

  it('does not let keys reach prototypes', () => {
    const value = parse('__proto__: {polluted: true}\nconstructor: 1\n').value as object
    assert.deepEqual(Object.keys(value), ['__proto__', 'constructor'])
    assert.equal(({} as { polluted?: boolean }).polluted, undefined)
    const found = problems('__proto__: {a: 1}\n', z.strictObject({ a: z.number().optional() }))
    assert.deepEqual(found, ['f.yaml:1:1: unknown key "__proto__"; allowed: a'])
  })
})

describe('a problem', () => {
  const schema = z.strictObject({
    list: z.array(z.strictObject({ n: z.number().int().min(1), s: z.string().optional() })).optional(),
    map: z.record(z.string().regex(/^[a-z]+$/, { error: 'expected a small name' }), z.boolean()).optional(),
    either: z.union([z.string(), z.array(z.string())]).optional(),
    password: z.number().optional(),
  })
  const cases: [yaml: string, ...expected: string[]][] = [
    ['lst: 1', '1:1: unknown key "lst", did you mean "list"?'],
    ['banana: 1', '1:1: unknown key "banana"; allowed: either, list, map, password'],
    [
      'list:\n  - n: 0\n  - s: x\n  - {n: 1.5, m: 1}',
      '2:8: list[0].n: expected at least 1, got 0',
      '3:5: list[1]: missing key "n"',
      '4:9: list[2].n: expected a whole number, got 1.5',
      '4:14: list[2]: unknown key "m"; allowed: n, s',
    ],
    [
      'map: {A: true, b: yes}',
      '1:7: map: expected a small name, got "A"',
      '1:19: map.b: expected true or false, got "yes"',
    ],
    ['either: {a: 1}', '1:9: either: expected text or a list, got a mapping'],
    ['either: [1]', '1:10: either[0]: expected text, got 1'],
    ['password: letmein', '1:11: password: expected a number, got a string'],
    ['list:', '1:1: list: expected a list, got nothing'],
    ['[]', '1:1: expected a mapping, got a list'],
    ['', 'f.yaml: expected a mapping, got nothing'],
    [
      `either: 1\nmap: ${'x'.repeat(100)}`,
      '1:9: either: expected text or a list, got 1',
      `2:6: map: expected a mapping, got "${'x'.repeat(56)}…`,
    ],
  ]
  for (const [yaml, ...expected] of cases) {
    it(`has its place: ${JSON.stringify(yaml.slice(0, 40))}`, () => {
      assert.deepEqual(
        problems(yaml, schema),
        expected.map(line => (line.startsWith('f.yaml') ? line : `f.yaml:${line}`)),
      )
    })
  }

  it('has its place in a part of a file, too', () => {
    const part = parse('policy:\n  list:\n    - n: x\n').sub(['policy'])
    assert.deepEqual(validate(part, schema).diagnostics.map(formatDiagnostic), [
      'f.yaml:3:10: policy.list[0].n: expected a number, got "x"',
    ])
  })

  it('names paths so that they can be read', () => {
    assert.equal(formatPath(['a', 0, 'b c', 'd.e', 'x-y']), 'a[0]["b c"]["d.e"].x-y')
  })
})
