/** How the scan finds where a rule may begin, and what has to stand around it. */
export type RuleKind =
  /** The secret itself begins with the keyword (or `back` characters before it). */
  | 'token'
  /** The keyword is part of a name; the secret is the value that is assigned to it. */
  | 'assign'
  /** The keyword is the scheme of a URL with a user and a password in it. */
  | 'url'

/** One kind of secret: where to look, and what it looks like. Data; the engine is in `text-scanner.ts`. */
export interface Rule {
  /** Kebab-case; appears in findings, and is what policies name. */
  readonly id: string
  readonly description: string
  readonly kind: RuleKind
  /** Lower case, `a-z 0-9 _ . ~ -`. Text without one of them is never matched against the pattern. */
  readonly keywords: readonly string[]
  /** Source of a JavaScript pattern, without `(?i:`; tried at the keyword only. */
  readonly pattern: string
  readonly flags: '' | 'i'
  /** The group that is the secret; 0 = the whole match. */
  readonly group: number
  /** The least entropy of the secret, in bits a character; 0 = any. */
  readonly entropy: number
  /** How many characters before the keyword the match begins. */
  readonly back: number
  /** Whether a letter or digit right before the match says that it is part of a longer word. */
  readonly bounded: boolean
  /** The fewest characters after the keyword that are of `tailSet`; a cheap test before the pattern. */
  readonly tail: number
  /** A class such as `[a-f0-9]`; `''` = all that is neither blank nor quote, and up to four blanks may come first. */
  readonly tailSet: string
  /** How many blanks may stand between the keyword and those of `tailSet`. */
  readonly blanks: number
  /** Whether the name ends with the keyword: no letter or digit follows. */
  readonly wholeName: boolean
  /** The fewest characters of an assigned value. */
  readonly minValue: number
  /** Finds by name and looks alone, not by format: gives way to other rules, and to opaque fields of the protocol. */
  readonly generic: boolean
  /** Words in the name before the keyword that say this is no secret: `next_page_token`. Lower case. */
  readonly notAfter: readonly string[]
  /** The same for the rest of the name: `token_count`. */
  readonly notBefore: readonly string[]
  /** Whether words such as `example` or `xxxxx` in the secret say that it is none. */
  readonly placeholders: boolean
}

export type RuleDetails = Partial<Omit<Rule, 'id' | 'description' | 'pattern' | 'kind'>>

const DEFAULTS = {
  keywords: [] as readonly string[],
  flags: '',
  group: 0,
  entropy: 2.5,
  back: 0,
  bounded: true,
  tail: 0,
  tailSet: '',
  blanks: 0,
  wholeName: false,
  minValue: 8,
  generic: false,
  notAfter: [] as readonly string[],
  notBefore: [] as readonly string[],
  placeholders: true,
} as const

/** Not in the middle of a longer word. */
const END = '(?![A-Za-z0-9])'

/**
 * What may stand between a name and its value: the rest of the name, quotes, an operator (`=`, `:`, `=>`, `,`, `|`, `>` of
 * a tag, the word "is"), quotes, the key `value` (of a pair with `name`), an authentication scheme.
 */
const BETWEEN =
  '[\\w .\\-]{0,30}["\'`\\]\\)]{0,3}\\s{0,4}(?::?={1,3}>?|:{1,2}|,|\\||>|\\bis\\b)\\s{0,4}["\'`(\\[]{0,3}(?:value["\']{1,2}\\s{0,4}:\\s{0,4}["\']{1,2})?(?:(?:bearer|basic|token)\\s{1,2})?'

function escapeLiteral(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')
}

/** What a pattern that begins like `[a-z]{36}` begins with, and the fewest of it. */
function headOf(pattern: string): { set: string; count: number } {
  const match = /^(\[[^\]]*\])\{(\d+)/.exec(pattern)
  return { set: match?.[1] ?? '', count: Number(match?.[2] ?? 0) }
}

/**
 * A token with a fixed beginning.
 * @param prefixes what it begins with, as written; letters keep their case
 * @param rest pattern of what follows
 */
export function token(
  id: string,
  description: string,
  prefixes: string | readonly string[],
  rest: string,
  more: RuleDetails = {},
): Rule {
  const all = typeof prefixes === 'string' ? [prefixes] : prefixes
  const pattern = `(?:${all.map(escapeLiteral).join('|')})${rest}${END}`
  const keywords = all.map(prefix => prefix.toLowerCase())
  const { set, count } = headOf(rest)
  return {
    ...DEFAULTS,
    kind: 'token',
    tail: count,
    tailSet: more.tail === undefined ? set : '',
    id,
    description,
    keywords,
    pattern,
    ...more,
  }
}

/** A token whose fixed part stands `back` characters after its begin. */
export function around(
  id: string,
  description: string,
  keyword: string,
  back: number,
  pattern: string,
  more: RuleDetails = {},
): Rule {
  return { ...DEFAULTS, kind: 'token', id, description, keywords: [keyword], back, pattern: pattern + END, ...more }
}

/** A text that begins with a keyword and is described by its whole pattern. */
export function text(
  id: string,
  description: string,
  keywords: readonly string[],
  pattern: string,
  more: RuleDetails = {},
): Rule {
  return { ...DEFAULTS, kind: 'token', id, description, keywords, pattern, ...more }
}

/**
 * A value without a format of its own that gives it away, assigned to a name: `DATADOG_API_KEY=…`, `"datadog": "…"`,
 * `<datadog>…`. The value must hold a letter and something that is none.
 * @param value pattern of the value
 */
export function assign(
  id: string,
  description: string,
  keywords: readonly string[],
  value: string,
  more: RuleDetails = {},
): Rule {
  const pattern = `(?:${keywords.map(escapeLiteral).join('|')})${BETWEEN}(${value})${END}`
  const minValue = Math.max(DEFAULTS.minValue, headOf(value).count)
  const found = { flags: 'i', group: 1, entropy: 3, minValue } as const
  return { ...DEFAULTS, ...found, kind: 'assign', id, description, keywords, pattern, ...more }
}

/** `scheme://user:password@host`: the password is the secret. */
export function login(id: string, description: string, schemes: readonly string[], more: RuleDetails = {}): Rule {
  const pattern = `(?:${schemes.map(escapeLiteral).join('|')})[a-z0-9+]{0,16}:\\/\\/[^\\s:@/"'<>]{0,80}:([^\\s@/"'<>]{3,200})@[\\w\\[]`
  const keywords = schemes.map(scheme => scheme.toLowerCase())
  return {
    ...DEFAULTS,
    kind: 'url',
    id,
    description,
    keywords,
    pattern,
    flags: 'i',
    group: 1,
    entropy: 0,
    ...more,
  }
}

export const UUID = '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}'
