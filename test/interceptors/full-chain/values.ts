import type { Random } from '../../wire/fuzz/random.ts'
import { expand, readSamples } from '../secret-scan/samples.ts'

/** Looked for at the end wherever it must not be. */
export const TOKEN = expand('ghp_{an:36}')

const SAMPLES = readSamples().flatMap(({ positives }) => positives)

const NUMBERS = [
  ...['0', '-0', '-0.0', '1', '-1', '1.0', '1e3', '1E+3', '1e400', '-1e400', '1e-400', '0.1', '1.10', '2147483648'],
  ...[
    '9007199254740991',
    '9007199254740993',
    '12345678901234567890',
    '4111111111111111',
    '5e-324',
    `1${'0'.repeat(400)}`,
  ],
]

const WORDS = [
  ...[
    '',
    'hello',
    'token',
    'the password is gone',
    'SELECT * FROM t',
    '../../etc/passwd',
    '=1+1',
    'a,b\n"c",d',
    '{}',
    '[]',
  ],
  ...[
    'null',
    '__proto__',
    'constructor',
    'data: x\n\n',
    'x\r\ny',
    '\u2028\u2029',
    '\u0000\u0001\u007f',
    'Ａｋｉａ',
    'ﬀ',
    'İıſK',
  ],
  ...[
    'e\u0301',
    '\u202eabc',
    '👩‍👩‍👧‍👦',
    '\ud83d\ude00',
    '\ufeff',
    '\ufffd',
    '𝒳'.repeat(20),
    'ghp_',
    'AKIA',
    'sk-',
    '-----BEGIN PRIVATE KEY-----',
  ],
]

/** Written as they are: what `JSON.stringify` would not write. */
const RAW_STRINGS = [
  '"\\ud800"',
  '"\\udc00x"',
  '"\\u0067hp_"',
  '"\\/"',
  '"\\u0000"',
  '"a\\u2028b"',
  '"\\ud83d\\ude00"',
  '"\\b\\f"',
]

const KEYS = [
  ...[
    'a',
    'b',
    'text',
    'n',
    'count',
    'items',
    'rows',
    'name',
    'value',
    'password',
    'api_key',
    'token',
    'uri',
    'data',
    '',
  ],
  ...['__proto__', 'constructor', 'a.b', 'ü', 'x y', 'Ａ', 'method', 'id', 'params', 'type', 'toString'],
]

/** A secret in one of the shapes that people and programs wrap secrets in. */
export function secretText(random: Random): string {
  const secret = random.chance(0.5) ? TOKEN : random.pick(SAMPLES)
  switch (random.below(7)) {
    case 0:
      return secret
    case 1:
      return `it is "${secret}"\n`
    case 2:
      return Buffer.from(`key: ${secret} `).toString('base64')
    case 3:
      return encodeURIComponent(`a=1&key= ${secret} `)
    case 4:
      return JSON.stringify({ key: secret, n: 1 })
    case 5:
      return secret.slice(0, secret.length >> 1)
    default:
      return `${'lorem ipsum '.repeat(random.below(200))} ${secret} `
  }
}

/** JSON text of a string, with escapes where none are needed, now and then. */
function stringText(text: string, random: Random): string {
  const json = JSON.stringify(text)
  if (!random.chance(0.15)) return json
  const at = 1 + random.below(Math.max(1, json.length - 2))
  const code = json.charCodeAt(at)
  const plain = code > 0x22 && code < 0x7f && code !== 0x5c && !/\\.{0,5}$/.test(json.slice(Math.max(0, at - 5), at))
  return plain ? `${json.slice(0, at)}\\u00${code.toString(16)}${json.slice(at + 1)}` : json
}

export function anyString(random: Random): string {
  const kind = random.below(20)
  if (kind < 2) return stringText(secretText(random), random)
  if (kind === 2) return random.pick(RAW_STRINGS)
  if (kind === 3) return stringText('x'.repeat(random.below(3000)), random)
  if (kind === 4 && random.chance(0.1)) return stringText('lorem 漢字 '.repeat(random.below(20_000)), random)
  return stringText(random.pick(WORDS), random)
}

const BLANKS = ['', '', '', '', ' ', '\n', '\r\n', '\t', '\r', '  \n ']

/** JSON text of any value: mostly small, now and then deep, long, doubled or odd. */
export function anyValue(random: Random, depth = 0): string {
  const blank = (): string => random.pick(BLANKS)
  const kind = random.below(depth > 4 ? 6 : 10)
  if (kind < 3) return anyString(random)
  if (kind === 3) return random.pick(NUMBERS)
  if (kind === 4) return random.pick(['null', 'true', 'false'])
  if (kind === 5) return random.chance(0.05) ? nested(random.pick([10, 60, 110, 127, 300])) : '{}'
  const size = random.below(random.chance(0.05) ? 60 : 5)
  if (kind < 8)
    return `[${Array.from({ length: size }, () => blank() + anyValue(random, depth + 1)).join(',')}${blank()}]`
  return anyObject(random, depth, size)
}

export function anyObject(random: Random, depth = 0, size = random.below(5), first: readonly string[] = []): string {
  const blank = (): string => random.pick(BLANKS)
  const member = (): string => {
    const key = random.chance(0.02) ? stringText(TOKEN, random) : stringText(random.pick(KEYS), random)
    return `${blank()}${key}${blank()}:${blank()}${anyValue(random, depth + 1)}`
  }
  return `{${[...first, ...Array.from({ length: size }, member)].join(',')}${blank()}}`
}

function nested(depth: number): string {
  return `${'['.repeat(depth)}${']'.repeat(depth)}`
}

/** Rows that `csv` and `shape` have something to do with. */
export function anyRows(random: Random): string {
  const count = random.below(random.chance(0.1) ? 400 : 12)
  const row = (): string => `{"id":${random.pick(NUMBERS)},"name":${anyString(random)},"tags":${anyValue(random, 4)}}`
  return `[${Array.from({ length: count }, row).join(',')}]`
}
