/** Inclusive ranges of code points, in order. */
export type Ranges = readonly (readonly [low: number, high: number])[]

/** A pattern in RE2's syntax, with its flags worked into the nodes they hold for. */
export type Node =
  | { readonly type: 'literal'; readonly code: number; readonly fold: boolean }
  | { readonly type: 'class'; readonly ranges: Ranges; readonly negated: boolean }
  | { readonly type: 'any'; readonly newline: boolean }
  | { readonly type: 'assertion'; readonly which: Assertion }
  | { readonly type: 'group'; readonly capture: boolean; readonly body: Node }
  | { readonly type: 'choice'; readonly options: readonly Node[] }
  | { readonly type: 'sequence'; readonly items: readonly Node[] }
  | { readonly type: 'repeat'; readonly body: Node; readonly min: number; readonly max: number; readonly lazy: boolean }

export type Assertion = 'text-start' | 'text-end' | 'line-start' | 'line-end' | 'word' | 'no-word'

/** Flags as RE2 has them: each group may set its own. */
interface Flags {
  readonly i: boolean
  readonly m: boolean
  readonly s: boolean
  readonly U: boolean
}

const MAX_LENGTH = 20_000
const MAX_DEPTH = 100

/**
 * Reads a pattern in RE2's syntax (Go's `regexp`), flags tracked group by group.
 * @throws SyntaxError for what is wrong and for what is not converted (`\p`, `\C`, characters beyond U+FFFF)
 */
export function parseRe2(source: string): Node {
  if (source.length > MAX_LENGTH) throw new SyntaxError(`longer than ${MAX_LENGTH} characters`)
  return new Parser(source).parse()
}

class Parser {
  readonly #source: string
  #at: number
  #depth: number

  constructor(source: string) {
    this.#source = source
    this.#at = 0
    this.#depth = 0
  }

  parse(): Node {
    const node = this.#choice({ i: false, m: false, s: false, U: false })
    if (this.#at < this.#source.length) throw new SyntaxError('")" without "("')
    return node
  }

  #choice(given: Flags): Node {
    if (++this.#depth > MAX_DEPTH) throw new SyntaxError('nested too deeply')
    const options: Node[] = []
    let flags = given
    let items: Node[] = []
    while (this.#at < this.#source.length && this.#peek() !== ')') {
      if (this.#take('|')) {
        options.push({ type: 'sequence', items })
        items = []
        continue
      }
      const change = this.#flagChange(flags)
      if (change !== null) flags = change
      else items.push(this.#repeated(this.#atom(flags), flags))
    }
    options.push({ type: 'sequence', items })
    this.#depth--
    return options.length === 1 ? (options[0] as Node) : { type: 'choice', options }
  }

  /** `(?i)` holds to the end of the group it stands in. */
  #flagChange(flags: Flags): Flags | null {
    const match = /^\(\?([imsU]*)(?:-([imsU]+))?\)/.exec(this.#source.slice(this.#at, this.#at + 16))
    if (match === null) return null
    this.#at += match[0].length
    return changed(flags, match[1] ?? '', match[2] ?? '')
  }

  #atom(flags: Flags): Node {
    const character = this.#next()
    switch (character) {
      case '(':
        return this.#group(flags)
      case '[':
        return this.#class(flags)
      case '.':
        return { type: 'any', newline: flags.s }
      case '^':
        return { type: 'assertion', which: flags.m ? 'line-start' : 'text-start' }
      case '$':
        return { type: 'assertion', which: flags.m ? 'line-end' : 'text-end' }
      case '\\':
        return this.#escape(flags)
      case '*':
      case '+':
      case '?':
        throw new SyntaxError(`"${character}" repeats nothing`)
      default:
        return literal(character, flags)
    }
  }

  #group(flags: Flags): Node {
    const rest = this.#source.slice(this.#at, this.#at + 80)
    const name = /^\?P?<([A-Za-z_]\w*)>/.exec(rest)
    const inner = /^\?([imsU]*)(?:-([imsU]+))?:/.exec(rest)
    if (rest.startsWith('?') && name === null && inner === null) throw new SyntaxError('a group RE2 does not have')
    this.#at += (name ?? inner)?.[0].length ?? 0
    const body = this.#choice(inner === null ? flags : changed(flags, inner[1] ?? '', inner[2] ?? ''))
    if (!this.#take(')')) throw new SyntaxError('"(" without ")"')
    return { type: 'group', capture: inner === null, body }
  }

  #repeated(body: Node, flags: Flags): Node {
    let node = body
    for (;;) {
      const bounds = this.#bounds()
      if (bounds === null) return node
      const lazy = this.#take('?') !== flags.U
      node = { type: 'repeat', body: node, min: bounds[0], max: bounds[1], lazy }
    }
  }

  #bounds(): [min: number, max: number] | null {
    const infinite = Number.POSITIVE_INFINITY
    if (this.#take('*')) return [0, infinite]
    if (this.#take('+')) return [1, infinite]
    if (this.#take('?')) return [0, 1]
    const match = /^\{(\d{1,4})(,(\d{0,4}))?\}/.exec(this.#source.slice(this.#at, this.#at + 12))
    if (match === null) return null
    this.#at += match[0].length
    const min = Number(match[1])
    if (match[2] === undefined) return [min, min]
    return [min, match[3] === '' ? infinite : Number(match[3])]
  }

  #escape(flags: Flags): Node {
    const assertion = ASSERTIONS[this.#peek()]
    if (assertion !== undefined) {
      this.#at++
      return { type: 'assertion', which: assertion }
    }
    const set = this.#escapedSet(flags)
    if (set !== null) return { type: 'class', ...set }
    return literalCode(this.#escapedCode(), flags)
  }

  /** `\d`, `\W` and so on, after the backslash. */
  #escapedSet(flags: Flags): { ranges: Ranges; negated: boolean } | null {
    const letter = this.#peek()
    const ranges = PERL[letter.toLowerCase()]
    if (ranges === undefined) return null
    this.#at++
    return { ranges: flags.i ? folded(ranges) : ranges, negated: letter !== letter.toLowerCase() }
  }

  #escapedCode(): number {
    const character = this.#next()
    const control = CONTROLS[character]
    if (control !== undefined) return control
    if (character === 'x') {
      const match = /^(?:([0-9A-Fa-f]{2})|\{([0-9A-Fa-f]{1,6})\})/.exec(this.#source.slice(this.#at, this.#at + 8))
      if (match === null) throw new SyntaxError('"\\x" without digits')
      this.#at += match[0].length
      return checked(Number.parseInt(match[1] ?? match[2] ?? '', 16))
    }
    if (/[A-Za-z0-9]/.test(character)) throw new SyntaxError(`"\\${character}" is not converted`)
    return checked(character.codePointAt(0) ?? 0)
  }

  #class(flags: Flags): Node {
    const negated = this.#take('^')
    const ranges: [number, number][] = []
    for (let first = true; first || this.#peek() !== ']'; first = false) {
      if (this.#at >= this.#source.length) throw new SyntaxError('"[" without "]"')
      this.#classItem(ranges, flags)
    }
    this.#at++
    return { type: 'class', ranges: normal(ranges), negated }
  }

  #classItem(ranges: [number, number][], flags: Flags): void {
    const posix = /^\[:(\^?)([a-z]+):\]/.exec(this.#source.slice(this.#at, this.#at + 14))
    if (posix !== null) {
      const named = POSIX[posix[2] ?? '']
      if (named === undefined) throw new SyntaxError(`"${posix[0]}" is not converted`)
      const set = flags.i ? folded(named) : named
      this.#at += posix[0].length
      ranges.push(...copy(posix[1] === '^' ? complement(set) : set))
      return
    }
    if (this.#peek() === '\\' && PERL[(this.#source[this.#at + 1] ?? '').toLowerCase()] !== undefined) {
      this.#at++
      const set = this.#escapedSet(flags)
      if (set !== null) ranges.push(...copy(set.negated ? complement(set.ranges) : set.ranges))
      return
    }
    const low = this.#classCode()
    let high = low
    if (this.#peek() === '-' && this.#source[this.#at + 1] !== ']') {
      this.#at++
      high = this.#classCode()
    }
    if (high < low) throw new SyntaxError('a range that ends before it begins')
    ranges.push(...(flags.i ? folded([[low, high]]) : [[low, high] as [number, number]]))
  }

  #classCode(): number {
    const character = this.#next()
    return character === '\\' ? this.#escapedCode() : checked(character.codePointAt(0) ?? 0)
  }

  #peek(): string {
    return this.#source[this.#at] ?? ''
  }

  #next(): string {
    const code = this.#source.codePointAt(this.#at)
    if (code === undefined) throw new SyntaxError('ends too early')
    const character = String.fromCodePoint(code)
    this.#at += character.length
    return character
  }

  #take(character: string): boolean {
    if (this.#peek() !== character) return false
    this.#at++
    return true
  }
}

function changed(flags: Flags, on: string, off: string): Flags {
  const of = (flag: 'i' | 'm' | 's' | 'U'): boolean => (on.includes(flag) || flags[flag]) && !off.includes(flag)
  return { i: of('i'), m: of('m'), s: of('s'), U: of('U') }
}

function literal(character: string, flags: Flags): Node {
  return literalCode(checked(character.codePointAt(0) ?? 0), flags)
}

function literalCode(code: number, flags: Flags): Node {
  return { type: 'literal', code, fold: flags.i }
}

function checked(code: number): number {
  if (code > 0xffff) throw new SyntaxError('characters beyond U+FFFF are not converted')
  return code
}

const ASSERTIONS: Readonly<Record<string, Assertion>> = { A: 'text-start', z: 'text-end', b: 'word', B: 'no-word' }
const CONTROLS: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11, a: 7 }

const DIGIT: Ranges = [[0x30, 0x39]]
const UPPER: Ranges = [[0x41, 0x5a]]
const LOWER: Ranges = [[0x61, 0x7a]]

/** RE2's classes are ASCII, and its `\s` has no vertical tab. */
const PERL: Readonly<Record<string, Ranges>> = {
  d: DIGIT,
  w: [...DIGIT, ...UPPER, [0x5f, 0x5f], ...LOWER],
  s: [
    [9, 10],
    [12, 13],
    [0x20, 0x20],
  ],
}

const POSIX: Readonly<Record<string, Ranges>> = {
  alnum: [...DIGIT, ...UPPER, ...LOWER],
  alpha: [...UPPER, ...LOWER],
  ascii: [[0, 0x7f]],
  blank: [
    [9, 9],
    [0x20, 0x20],
  ],
  cntrl: [
    [0, 0x1f],
    [0x7f, 0x7f],
  ],
  digit: DIGIT,
  graph: [[0x21, 0x7e]],
  lower: LOWER,
  print: [[0x20, 0x7e]],
  punct: [
    [0x21, 0x2f],
    [0x3a, 0x40],
    [0x5b, 0x60],
    [0x7b, 0x7e],
  ],
  space: [
    [9, 13],
    [0x20, 0x20],
  ],
  upper: UPPER,
  word: [...DIGIT, ...UPPER, [0x5f, 0x5f], ...LOWER],
  xdigit: [...DIGIT, [0x41, 0x46], [0x61, 0x66]],
}

function copy(ranges: Ranges): [number, number][] {
  return ranges.map(([low, high]) => [low, high])
}

function normal(ranges: readonly (readonly [number, number])[]): Ranges {
  const merged: [number, number][] = []
  for (const [low, high] of ranges.toSorted((a, b) => a[0] - b[0])) {
    const last = merged.at(-1)
    if (last !== undefined && low <= last[1] + 1) last[1] = Math.max(last[1], high)
    else merged.push([low, high])
  }
  return merged
}

function complement(ranges: Ranges): Ranges {
  const rest: [number, number][] = []
  let from = 0
  for (const [low, high] of normal(ranges)) {
    if (low > from) rest.push([from, low - 1])
    from = high + 1
  }
  if (from <= 0xffff) rest.push([from, 0xffff])
  return rest
}

/** The ranges and the other cases of their letters: ASCII, and the two signs that fold to ASCII letters. */
export function folded(ranges: Ranges): [number, number][] {
  const all = copy(ranges)
  for (const [low, high] of ranges) {
    const lower = clip(low, high, 0x41, 0x5a)
    if (lower !== null) all.push([lower[0] + 32, lower[1] + 32])
    const upper = clip(low, high, 0x61, 0x7a)
    if (upper !== null) all.push([upper[0] - 32, upper[1] - 32])
  }
  const has = (code: number): boolean => all.some(([low, high]) => low <= code && code <= high)
  if (has(0x6b)) all.push([0x212a, 0x212a])
  if (has(0x73)) all.push([0x17f, 0x17f])
  if (has(0x212a)) all.push([0x4b, 0x4b], [0x6b, 0x6b])
  if (has(0x17f)) all.push([0x53, 0x53], [0x73, 0x73])
  return copy(normal(all))
}

function clip(low: number, high: number, min: number, max: number): [number, number] | null {
  const from = Math.max(low, min)
  const to = Math.min(high, max)
  return from <= to ? [from, to] : null
}
