import { readFileSync, statSync } from 'node:fs'
import { parse } from 'smol-toml'
import type { Logger } from '#api'
import { entropyOf } from '../looks-like.ts'
import type { Rule } from '../rule.ts'
import type { ActiveRule, Span } from '../rule-index.ts'
import { type Excuse, excuseOf, type RawAllowlist, strings } from './allowlists.ts'
import { PatternFinder } from './pattern-finder.ts'

const MAX_BYTES = 4 * 1024 * 1024
const MAX_RULES = 2000

type Table = Readonly<Record<string, unknown>>

/**
 * Rules of a gitleaks configuration (TOML): `id`, `description`, `regex`, `secretGroup`, `entropy`, `keywords` and allow-lists with
 * `regexes` and `stopwords`. Rules about paths alone, and what is about files and commits, mean nothing for messages.
 * @throws Error that names the file and the rule
 */
export function loadRulesFile(file: string, logger: Logger): ActiveRule[] {
  const { size } = statSync(file)
  if (size > MAX_BYTES) throw new Error(`rules_file: ${file} is larger than ${MAX_BYTES} bytes`)
  return parseRules(readFileSync(file, 'utf8'), file, logger)
}

/** @param file its name, for errors */
export function parseRules(text: string, file: string, logger: Logger): ActiveRule[] {
  const config = readToml(text, file)
  const tables = tablesOf(config.rules, 'rules', file)
  if (tables.length === 0) throw new Error(`rules_file: ${file} has no [[rules]]`)
  if (tables.length > MAX_RULES) throw new Error(`rules_file: ${file} has more than ${MAX_RULES} rules`)
  const shared = allowlistsOf(config, file)
  if (config.extend !== undefined) logger.warn({ file }, 'rules_file: "extend" is not followed')
  const rules: ActiveRule[] = []
  const ids = new Set<string>()
  tables.forEach((table, index) => {
    const id = typeof table.id === 'string' && table.id !== '' ? table.id : ''
    const place = `rules_file: ${file}: rule ${id === '' ? `number ${index + 1}` : `"${id}"`}`
    if (id === '') throw new Error(`${place}: expected an id`)
    if (ids.has(id)) throw new Error(`${place}: there are two of this id`)
    ids.add(id)
    try {
      const rule = ruleOf(table, id, shared)
      if (rule === null) logger.info({ file, rule: id }, 'rules_file: a rule without a regex is left out')
      else rules.push(rule)
    } catch (error) {
      throw new Error(`${place}: ${(error as Error).message}`)
    }
  })
  return rules
}

function readToml(text: string, file: string): Table {
  try {
    return parse(text) as Table
  } catch (error) {
    throw new Error(`rules_file: ${file}: ${(error as Error).message}`)
  }
}

function tablesOf(value: unknown, name: string, file: string): readonly Table[] {
  if (value === undefined) return []
  if (!Array.isArray(value) || value.some(item => typeof item !== 'object' || item === null)) {
    throw new Error(`rules_file: ${file}: "${name}" is no list of tables`)
  }
  return value as Table[]
}

/** Allow-lists under both the names they have had. */
function allowlistsOf(table: Table, file: string): readonly RawAllowlist[] {
  const old = typeof table.allowlist === 'object' && table.allowlist !== null ? [table.allowlist as RawAllowlist] : []
  return [...tablesOf(table.allowlists, 'allowlists', file), ...old]
}

function ruleOf(table: Table, id: string, shared: readonly RawAllowlist[]): ActiveRule | null {
  const { regex } = table
  if (regex === undefined) return null
  if (typeof regex !== 'string') throw new Error('regex: expected a string')
  const keywords = keywordsOf(strings(table.keywords, 'keywords'))
  const finder = new PatternFinder(regex, keywords, numberOf(table.secretGroup, 'secretGroup'))
  const lists = [...allowlistsOf(table, 'of the rule'), ...shared.filter(list => isAbout(list, id))]
  const excuses = lists.map(excuseOf).filter(excuse => excuse !== null)
  const accepts = acceptance(id, numberOf(table.entropy, 'entropy'), excuses)
  return { rule: asRule(id, String(table.description ?? id), regex, keywords), finder, accepts }
}

function isAbout(list: RawAllowlist, id: string): boolean {
  const targets = strings(list.targetRules, 'targetRules')
  return targets.length === 0 || targets.includes(id)
}

function numberOf(value: unknown, name: string): number {
  if (value === undefined) return 0
  if (typeof value !== 'number' || value < 0) throw new Error(`${name}: expected a number`)
  return value
}

/** As gitleaks decides: entropy must be greater, and rules called generic want a digit. */
function acceptance(id: string, entropy: number, excuses: readonly Excuse[]): (text: string, span: Span) => boolean {
  return (text, span) => {
    const secret = text.slice(span.secretStart, span.secretEnd)
    if (entropy > 0 && entropyOf(secret) <= entropy) return false
    if (id.startsWith('generic') && !/\d/.test(secret)) return false
    return !excuses.some(excuse => excuse(text, span))
  }
}

/**
 * Keywords as the look over raw bytes can use them: of each the longest part without characters that an encoder may escape. One that
 * leaves less than three characters cannot be used, and the rule is tried everywhere.
 */
function keywordsOf(given: readonly string[]): readonly string[] {
  const safe = given.map(keyword => {
    const parts = keyword.toLowerCase().match(/[a-z0-9_.~-]+/g) ?? []
    return parts.toSorted((a, b) => b.length - a.length)[0] ?? ''
  })
  return safe.some(keyword => keyword.length < 2) ? [] : [...new Set(safe)]
}

function asRule(id: string, description: string, pattern: string, keywords: readonly string[]): Rule {
  return {
    id,
    description,
    kind: 'token',
    keywords,
    pattern,
    flags: '',
    group: 0,
    entropy: 0,
    back: 0,
    // The match may begin before the keyword.
    bounded: false,
    tail: 0,
    tailSet: '',
    blanks: 0,
    wholeName: false,
    minValue: 0,
    generic: false,
    notAfter: [],
    notBefore: [],
    placeholders: false,
  }
}
