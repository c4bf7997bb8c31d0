import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** What must be found by a rule, and what must not be found at all. */
export interface Samples {
  readonly rule: string
  readonly positives: readonly string[]
  readonly negatives: readonly string[]
}

const DIR = join(import.meta.dirname, 'samples')

const LOWER = 'abcdefghijklmnopqrstuvwxyz'
const UPPER = LOWER.toUpperCase()
const DIGITS = '0123456789'

/** Sets that the samples draw random characters from. */
const SETS: Readonly<Record<string, string>> = {
  an: LOWER + UPPER + DIGITS,
  al: LOWER + DIGITS,
  AN: UPPER + DIGITS,
  l: LOWER,
  L: LOWER + UPPER,
  d: DIGITS,
  hex: '0123456789abcdef',
  HEX: '0123456789ABCDEF',
  w: `${LOWER + UPPER + DIGITS}_-`,
  b64: `${LOWER + UPPER + DIGITS}+/`,
  b32: `${UPPER}234567`,
  b32l: `${LOWER}234567`,
  age: 'QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L',
}

/**
 * The samples of all rules. No credential stands in the files: `{hex:32}` is 32 random hexadecimal digits, the same each time;
 * `{x:8}` is `xxxxxxxx`, `{same:a:8}` is eight times `a`, `\n` is the end of a line. The sets are those above.
 */
export function readSamples(): Samples[] {
  const files = readdirSync(DIR).filter(name => name.endsWith('.samples'))
  return files.sort().flatMap(name => parse(readFileSync(join(DIR, name), 'utf8'), name))
}

function parse(text: string, file: string): Samples[] {
  const all: { rule: string; positives: string[]; negatives: string[] }[] = []
  text.split('\n').forEach((line, index) => {
    const [mark, rest] = [line.slice(0, 2), line.slice(2)]
    const last = all.at(-1)
    if (line === '' || line.startsWith('#')) return
    if (mark === '+ ') last?.positives.push(expand(rest))
    else if (mark === '- ') last?.negatives.push(expand(rest))
    else if (/^[a-z0-9-]+$/.test(line)) all.push({ rule: line, positives: [], negatives: [] })
    else throw new Error(`${file}:${index + 1}: expected a rule, "+ …" or "- …"`)
  })
  return all
}

/** Puts characters in the place of `{set:count}`. */
export function expand(template: string): string {
  const random = generator(template)
  return template
    .replaceAll('\\n', '\n')
    .replace(/\{same:(.):(\d+)\}/g, (_, character: string, count: string) => character.repeat(Number(count)))
    .replace(/\{(\w+):(\d+)\}/g, (whole, name: string, count: string) => {
      const set = name === 'x' ? 'x' : SETS[name]
      if (set === undefined) throw new Error(`${whole}: no such set`)
      return pick(set, Number(count), random)
    })
}

/** Random characters that are not by chance what every scanner takes for a placeholder or a word. */
function pick(set: string, count: number, random: () => number): string {
  for (;;) {
    let text = ''
    for (let i = 0; i < count; i++) text += set[random() % set.length]
    if (count < 12 || set === 'x') return text
    const mixed = !/[a-z]/i.test(set) || !/\d/.test(set) || (/\d/.test(text) && /[a-z]/i.test(text))
    if (mixed && !/^[-_]|[-_]$|(.)\1\1\1/.test(text)) return text
  }
}

/** Numbers that depend on the template alone. */
function generator(seed: string): () => number {
  let state = 2166136261
  for (let i = 0; i < seed.length; i++) state = Math.imul(state ^ seed.charCodeAt(i), 16777619)
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) | 0
    let mixed = state >>> 0
    mixed = Math.imul(mixed ^ (mixed >>> 15), 2246822519)
    return (mixed ^ (mixed >>> 13)) >>> 0
  }
}
