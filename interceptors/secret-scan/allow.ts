import { createHash, createHmac, randomBytes } from 'node:crypto'
import { RE2JS } from 're2js'
import { GlobList } from '#api'
import type { AllowEntry } from './options.ts'
import type { Rule } from './rule.ts'

/** Names a value without showing it: the first 8 hexadecimal digits of a keyed hash (HMAC-SHA-256). */
export class Fingerprints {
  readonly #key: string | Buffer

  /** @param key `undefined` = a new one; then fingerprints are alike only until the next start */
  constructor(key: string | undefined) {
    this.#key = key ?? randomBytes(32)
  }

  of(value: string): string {
    return createHmac('sha256', this.#key).update(value).digest('hex').slice(0, 8)
  }
}

type Test = (rule: Rule, value: string, place: string, tool: string) => boolean

/** What the operator says is no finding. */
export class AllowList {
  readonly #entries: readonly (readonly Test[])[]

  /** @throws Error that names the entry and what is wrong with it */
  constructor(entries: readonly AllowEntry[], fingerprints: Fingerprints, hasKey: boolean) {
    this.#entries = entries.map((entry, index) => {
      try {
        return testsOf(entry, fingerprints, hasKey)
      } catch (error) {
        throw new Error(`allow[${index}]: ${(error as Error).message}`)
      }
    })
  }

  allows(rule: Rule, value: string, place: string, tool: string): boolean {
    return this.#entries.some(tests => tests.every(test => test(rule, value, place, tool)))
  }
}

function testsOf(entry: AllowEntry, fingerprints: Fingerprints, hasKey: boolean): Test[] {
  const tests: Test[] = []
  const { rule: rules, path: paths, tool: tools } = entry
  if (rules !== undefined) tests.push(globTest(rules, rule => rule.id))
  if (paths !== undefined) tests.push(globTest(paths, (_rule, _value, place) => place))
  if (tools !== undefined) tests.push(globTest(tools, (_rule, _value, _place, tool) => tool))
  if (entry.sha256 !== undefined) {
    const hashes = hashSet(entry.sha256, 64, 'sha256')
    tests.push((_rule, value) => hashes.has(createHash('sha256').update(value).digest('hex')))
  }
  if (entry.fingerprint !== undefined) {
    if (!hasKey)
      throw new Error('fingerprint: without fingerprint_key it would not hold after the next start; give both')
    const known = hashSet(entry.fingerprint, 8, 'fingerprint')
    tests.push((_rule, value) => known.has(fingerprints.of(value)))
  }
  if (entry.regex !== undefined) {
    const pattern = compile(entry.regex)
    tests.push((_rule, value) => pattern.matcher(value).find())
  }
  return tests
}

function globTest(globs: string | readonly string[], textOf: (...args: Parameters<Test>) => string): Test {
  const list = new GlobList(typeof globs === 'string' ? [globs] : globs)
  return (...args) => list.fits(textOf(...args))
}

function hashSet(given: string | readonly string[], digits: number, what: string): ReadonlySet<string> {
  const hashes = (typeof given === 'string' ? [given] : given).map(hash => hash.toLowerCase().replace(/^sha256:/, ''))
  for (const hash of hashes) {
    if (hash.length !== digits || !/^[0-9a-f]+$/.test(hash)) {
      throw new Error(`${what}: expected ${digits} hexadecimal digits, got ${hash.length} characters`)
    }
  }
  return new Set(hashes)
}

function compile(source: string): RE2JS {
  try {
    return RE2JS.compile(source)
  } catch (error) {
    throw new Error(`regex: RE2 does not take it: ${(error as Error).message}`)
  }
}
