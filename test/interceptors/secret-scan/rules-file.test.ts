import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { RE2JS } from 're2js'
import { probe } from '#testing'
import { parseRules } from '../../../interceptors/secret-scan/rules-file/load.ts'
import { PatternFinder } from '../../../interceptors/secret-scan/rules-file/pattern-finder.ts'
import { parseRe2 } from '../../../interceptors/secret-scan/rules-file/re2-syntax.ts'
import { toJs } from '../../../interceptors/secret-scan/rules-file/re2-to-js.ts'
import secretScan from '../../../interceptors/secret-scan/secret-scan.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** Where the first match of RE2's own engine lies, with its groups. */
function byRe2(source: string, text: string): unknown {
  const matcher = RE2JS.compile(source).matcher(text)
  if (!matcher.find()) return null
  return Array.from({ length: matcher.groupCount() + 1 }, (_, n) => [matcher.start(n), matcher.end(n)])
}

function byV8(source: string, text: string): unknown {
  const match = new RegExp(toJs(parseRe2(source)), 'd').exec(text)
  return match?.indices?.map(range => range ?? [-1, -1]) ?? null
}

describe('conversion of RE2 patterns', () => {
  const cases: readonly [source: string, texts: readonly string[]][] = [
    // V8 loses case-insensitivity of a class in an alternation inside (?i:…).
    ['(?i:x|[0-9a-f]{2})', ['AB', 'ab', 'X', 'g']],
    ['(?i)[\\w.-]{0,50}?(?:adobe)(?:[ \\t\\w.-]{0,20})([a-f0-9]{8})', ['my.ADOBE key 0123ABCD', 'adobe 1234567']],
    ['a(?i)b|c', ['aB', 'AB', 'C', 'c']],
    ['a(?i:b(?-i)c)d', ['aBcd', 'aBCd', 'abcd']],
    ['[[:alnum:]]+[[:^digit:]]', ['ab1-', '12', '_']],
    ['\\bkey\\b.*$', ['my key is\nhere', 'keys', 'a key']],
    ['(?s)begin.*end', ['begin\nend', 'begin']],
    ['(?m)^x$', ['a\nx\nb', 'ax']],
    ['^a|b\\z', ['xb', 'a', 'b\n']],
    ['\\s\\S', ['\u000bx', ' x', '\u00a0x']],
    ['(?P<name>a+?)(b|c)?', ['aab', 'aa', 'ac']],
    ['[^\\n\\x60"\'=]{2,4}\\x{41}', ['xyA', '`A', 'xyzzA']],
    ['(?U)a+b+?', ['aaabbb']],
    ['(?i)K\u017f', ['ks', '\u212aS', 'Ks']],
    ['x*', ['', 'xx']],
    ['[]a]+|[a\\]-]', [']a', '-']],
    ['a{,2}b{2,}', ['a{,2}bb', 'bb']],
    ['\\.\\-\\/\\$\\^', ['.-/$^']],
  ]
  for (const [source, texts] of cases) {
    it(source, () => {
      for (const text of texts) assert.deepEqual(byV8(source, text), byRe2(source, text), JSON.stringify(text))
    })
  }

  it('agrees with RE2 on random patterns and texts', () => {
    const leaf = fc.constantFrom('a', 'B', '[a-c]', '[^A-B]', '\\w', '\\d', '.', '\\s', '[[:upper:]]', '\\b', 's', '_')
    const { pattern } = fc.letrec<{ pattern: string }>(tie => ({
      pattern: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => a + b),
        fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(?:${a}|${b})`),
        fc.tuple(tie('pattern'), tie('pattern')).map(([a, b]) => `(?i:${a}|${b})`),
        tie('pattern').map(a => `(${a})`),
        tie('pattern').map(a => `(?:${a}){0,2}?`),
        tie('pattern').map(a => `(?-i:${a})`),
        tie('pattern').map(a => `(?:x${a})+`),
      ),
    }))
    const text = fc.string({
      unit: fc.constantFrom('a', 'A', 'b', 'B', 'c', 'x', 's', '1', '_', ' ', '\n', 'é'),
      maxLength: 12,
    })
    fc.assert(
      fc.property(pattern, text, (source, subject) => assert.deepEqual(byV8(source, subject), byRe2(source, subject))),
      { numRuns: 1500 },
    )
  })
})

describe('engines', () => {
  for (const [source, keywords, engine] of [
    ['(?i)[\\w.-]{0,50}?(?:okta)(?:[ \\t\\w.-]{0,20})[=:]([a-z0-9]{8})', ['okta'], 'v8'],
    ['\\b(tok_[a-z]{8})\\b', ['tok_'], 'v8'],
    ['(a+)+$', ['aaa'], 're2'],
    ['(?:[a-z]+\\.)*x', ['x.x'], 're2'],
    ['\\w+=\\w+&\\w+;\\w+', ['abc'], 're2'],
    ['\\p{Greek}+key', ['key'], 're2'],
    ['[a-z]+secret', [], 're2'],
  ] as const) {
    it(`${source} runs on ${engine}`, () => assert.equal(new PatternFinder(source, keywords, 0).engine, engine))
  }

  it('refuses what RE2 refuses', () => {
    assert.throws(() => new PatternFinder('(?=x)y', [], 0))
    assert.throws(() => new PatternFinder('a(b)', [], 2), /secretGroup is 2, but the pattern has 1 groups/)
  })
})

const dir = mkdtempSync(join(tmpdir(), 'sluice-rules-'))
after(() => rmSync(dir, { recursive: true, force: true }))

const CONFIG = `
title = "ours"

[[rules]]
id = "acme-token"
description = "Acme token"
regex = '''(?i)[\\w.-]{0,50}?(?:acme)(?:[ \\t\\w.-]{0,20})["' ]{0,3}[=:]["' ]{0,3}([a-z0-9]{16})\\b'''
entropy = 3
keywords = ["ACME"]
[[rules.allowlists]]
regexes = ['''^0123''']
stopwords = ["sample"]

[[rules]]
id = "acme-url"
regex = '''https://acme\\.internal/hook/([0-9a-f]{12})'''
secretGroup = 1
keywords = ["https://acme"]

[[rules]]
id = "github-pat"
regex = '''ghp_[a-z]{4}'''
keywords = ["ghp_"]

[[rules]]
id = "anywhere"
regex = '''<<([a-z]{6})>>'''

[[rules]]
id = "files"
path = '''\\.pem$'''

[[allowlists]]
targetRules = ["acme-url"]
regexTarget = "line"
regexes = ['''# test''']
`

async function found(text: string, config = CONFIG): Promise<string[]> {
  const file = join(dir, 'rules.toml')
  writeFileSync(file, config)
  const p = await probe(secretScan, { baseDir: dir, options: { rules_file: 'rules.toml', to_server: 'report' } })
  const { notes } = await p.request({ method: 'tools/call', params: { name: 't', arguments: { text } } })
  return String(notes.secrets ?? '')
    .split(' ')
    .filter(one => one !== '')
    .map(one => one.replace(/@.*/, ''))
}

describe('a file of rules', () => {
  for (const [text, expected] of [
    ['my.ACME_key = "a1b2c3d4e5f6g7h8"', ['acme-token']],
    ['acme: a1b2c3d4e5f6g7h8x', []],
    ['acme: aaaaaaaaaaaaaaa1', []],
    ['acme: 0123c3d4e5f6g7h8', []],
    ['acme: samplea1b2c3d4e5', []],
    ['see https://acme.internal/hook/0123456789ab', ['acme-url']],
    ['see https:\\/\\/acme.internal\\/hook\\/0123456789ab', ['acme-url']],
    ['# test\nsee https://acme.internal/hook/0123456789ab', ['acme-url']],
    ['see https://acme.internal/hook/0123456789ab # test', []],
    ['a rule of the file goes before ours: ghp_abcd', ['github-pat']],
    ['no keyword at all: <<abcdef>>', ['anywhere']],
  ] as const) {
    it(text, async () => assert.deepEqual(await found(text), expected))
  }

  for (const [name, config, error] of [
    ['no TOML', 'rules = [', /rules_file: .*rules\.toml: /],
    ['no rules', 'title = "x"', /has no \[\[rules\]\]/],
    ['a rule without an id', '[[rules]]\nregex = "x"', /rule number 1: expected an id/],
    ['two of one id', '[[rules]]\nid = "a"\nregex = "x"\n[[rules]]\nid = "a"\nregex = "y"', /"a": there are two/],
    ['a bad pattern', '[[rules]]\nid = "a"\nregex = "(x"', /rule "a": /],
    ['a group that is not there', '[[rules]]\nid = "a"\nregex = "x"\nsecretGroup = 3', /secretGroup is 3/],
    [
      'keywords that are none',
      '[[rules]]\nid = "a"\nregex = "x"\nkeywords = "x"',
      /keywords: expected a list of strings/,
    ],
  ] as const) {
    it(`says what is wrong: ${name}`, () => {
      assert.throws(() => parseRules(config, 'rules.toml', SILENT), error)
    })
  }

  it('that is not there is an error', async () => {
    await assert.rejects(probe(secretScan, { baseDir: dir, options: { rules_file: 'none.toml' } }), /none\.toml/)
  })
})
