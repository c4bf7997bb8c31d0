import { type Document, isAlias, isMap, isScalar, isSeq, type LineCounter, type Node, type Scalar } from 'yaml'
import type { Diagnostic } from './diagnostic.ts'
import type { Expansion } from './env-refs.ts'

/** Keys and list positions from the root of a document to a value. */
export type Path = readonly (string | number)[]

/** What a parsed file knows about its text. */
export interface YamlText {
  readonly text: string
  readonly document: Document
  readonly lines: LineCounter
  /** The scalars that held references. */
  readonly expansions: ReadonlyMap<Scalar, Expansion>
}

export interface DiagnosticOptions {
  /** Whether to point at the key or at the value; an empty value's key is pointed at anyway. Default `value`. */
  readonly at?: 'key' | 'value'
  /** Where to point, if not at the path the text is about. */
  readonly place?: Path
  /** Where in the text of a scalar to point, in UTF-16 units. Default: its beginning. */
  readonly offset?: number
  /** Default `error`. */
  readonly severity?: Diagnostic['severity']
}

/** Values shorter than this are too common to be blotted out of a message. */
const MIN_REDACTED_LENGTH = 3

const SECRET_KEY = /secret|token|password|passwd|credential|authorization|cookie|private|(?:api|session|access)_?key/i

/** A YAML file, or a part of one, with the place of every value. */
export class YamlSource {
  /** As diagnostics name it. */
  readonly file: string
  /** The content as plain data, environment references expanded. */
  readonly value: unknown
  /** Problems of syntax and of references; where there are errors, `value` is not to be trusted. */
  readonly diagnostics: readonly Diagnostic[]
  /** Where `value` stands in the file. */
  readonly base: Path
  readonly #text: YamlText | null

  constructor(
    file: string,
    value: unknown,
    diagnostics: readonly Diagnostic[],
    text: YamlText | null,
    base: Path = [],
  ) {
    this.file = file
    this.value = value
    this.diagnostics = diagnostics
    this.base = base
    this.#text = text
  }

  /** The same file, seen from a value within it. Problems of the whole file are not repeated. */
  sub(path: Path): YamlSource {
    return new YamlSource(this.file, this.get(path), [], this.#text, [...this.base, ...path])
  }

  /** A value that the file does not hold; problems point at the nearest thing that it does. */
  absent(path: Path, value: unknown): YamlSource {
    return new YamlSource(this.file, value, [], this.#text, [...this.base, ...path])
  }

  /** The same place with no keys but these. */
  pick(...keys: readonly string[]): YamlSource {
    const entries = Object.entries(this.value as object).filter(([key]) => keys.includes(key))
    return new YamlSource(this.file, Object.fromEntries(entries), [], this.#text, this.base)
  }

  /** The value at a path; `undefined` when there is none. */
  get(path: Path): unknown {
    let value: unknown = this.value
    for (const key of path) {
      if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined
      value = (value as Record<string | number, unknown>)[key]
    }
    return value
  }

  /**
   * A problem at a path; where the path does not exist, it points at the nearest ancestor.
   * @param text shown behind the path; values from the environment are blotted out of it
   */
  diagnostic(path: Path, text: string, options: DiagnosticOptions = {}): Diagnostic {
    const where = formatPath([...this.base, ...path])
    const place = this.#within(path, options.offset ?? 0) ?? this.#place(options.place ?? path, options.at ?? 'value')
    const said = this.redact(where === '' ? text : `${where}: ${text}`)
    return { file: this.file, ...place, severity: options.severity ?? 'error', text: said }
  }

  /** A value for a message: short, and never one that is, or may be, a secret. */
  describe(path: Path): string {
    const value = this.get(path)
    const expansion = this.#expansion(path)
    if (expansion !== undefined) return `the value of ${expansion.names.map(name => `\${${name}}`).join(', ')}`
    if (value === undefined || value === null) return 'nothing'
    if (Array.isArray(value)) return 'a list'
    if (typeof value === 'object') return 'a mapping'
    if ([...this.base, ...path].some(key => SECRET_KEY.test(String(key)))) return `a ${typeof value}`
    const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
    return text.length > 60 ? `${text.slice(0, 57)}…` : text
  }

  /** The text of a scalar that was one unquoted reference and was read as a number or the like; else `null`. */
  retypedText(path: Path): string | null {
    const expansion = this.#expansion(path)
    return expansion?.whole === true && typeof this.get(path) !== 'string' ? expansion.text : null
  }

  /** The environment variables that a scalar's text names, in order; those of unused defaults are not among them. */
  variables(path: Path): readonly string[] {
    return this.#expansion(path)?.names ?? []
  }

  /** A scalar's text as it stands in the file, references and all; `''` where there is none. */
  written(path: Path): string {
    const found = this.#find(path)
    if (!isScalar(found.value) || found.depth !== path.length) return ''
    return found.value.source ?? String(found.value.value)
  }

  /** The files that values came from, because the environment said `NAME_FILE`. */
  get valueFiles(): string[] {
    return [...new Set([...(this.#text?.expansions.values() ?? [])].flatMap(expansion => expansion.files))]
  }

  /** Blots out values that came from the environment. */
  redact(text: string): string {
    let clean = text
    for (const expansion of this.#text?.expansions.values() ?? []) {
      for (const value of expansion.values) {
        if (value.length >= MIN_REDACTED_LENGTH) clean = clean.replaceAll(value, '***')
      }
    }
    return clean
  }

  #expansion(path: Path): Expansion | undefined {
    const found = this.#find(path)
    const expansion =
      isScalar(found.value) && found.depth === path.length ? this.#text?.expansions.get(found.value) : undefined
    return expansion !== undefined && expansion.names.length > 0 ? expansion : undefined
  }

  #place(path: Path, at: 'key' | 'value'): { line: number; column: number } {
    const { key, value } = this.#find(path)
    const node = at === 'key' ? (key ?? value) : isEmpty(value) ? (key ?? value) : value
    const offset = node?.range?.[0]
    if (this.#text === null || offset === undefined) return { line: 0, column: 0 }
    const position = this.#text.lines.linePos(offset)
    return { line: position.line, column: position.col }
  }

  /**
   * The place of a character of a scalar; `null` where it cannot be told. Folding and indentation change only white
   * space, so what counts is how many other characters stand before it.
   */
  #within(path: Path, offset: number): { line: number; column: number } | null {
    const { value: node, depth } = this.#find(path)
    if (offset === 0 || this.#text === null || depth !== path.length || !isScalar(node)) return null
    const [start = 0, end = 0] = node.range ?? []
    const { text, lines } = this.#text
    const value = this.get(path)
    if (typeof value !== 'string') return null
    const at = samePlace(text, textStart(text, start, node.type), end, value, offset)
    if (at === -1) return null
    const position = lines.linePos(at)
    return { line: position.line, column: position.col }
  }

  /** The deepest node on the way to a path, and its key. */
  #find(path: Path): { key: Node | null; value: Node | null; depth: number } {
    let found: { key: Node | null; value: Node | null } = { key: null, value: this.#text?.document.contents ?? null }
    let depth = -this.base.length
    for (const segment of [...this.base, ...path]) {
      const next = this.#child(found.value, segment)
      if (next === null) break
      found = next
      depth++
    }
    return { ...found, depth }
  }

  #child(parent: Node | null, segment: string | number): { key: Node | null; value: Node | null } | null {
    const node = isAlias(parent) && this.#text !== null ? (parent.resolve(this.#text.document) ?? null) : parent
    if (isSeq(node)) {
      const value = node.items[Number(segment)]
      return value === undefined ? null : { key: null, value: value as Node }
    }
    if (!isMap(node)) return null
    const pair = node.items.find(item => isScalar(item.key) && String(item.key.value) === String(segment))
    return pair === undefined ? null : { key: pair.key as Node, value: pair.value as Node | null }
  }
}

/** Where the text of a scalar begins, behind quotes or the head of a block. */
function textStart(text: string, start: number, type: Scalar.Type | undefined): number {
  if (type === 'QUOTE_DOUBLE' || type === 'QUOTE_SINGLE') return start + 1
  return type === 'BLOCK_LITERAL' || type === 'BLOCK_FOLDED' ? text.indexOf('\n', start) + 1 : start
}

/** Follows `value` in the source up to `offset`; -1 where they differ in more than white space. */
function samePlace(source: string, start: number, end: number, value: string, offset: number): number {
  let at = start
  for (let i = 0; i <= offset; i++) {
    if (i < value.length && /\s/.test(value.charAt(i)) && i < offset) continue
    while (at < end && /\s/.test(source.charAt(at))) at++
    if (i === offset) return at
    if (source[at] !== value[i]) return -1
    at++
  }
  return -1
}

function isEmpty(node: Node | null): boolean {
  return node === null || (isScalar(node) && node.value === null && (node.source ?? '') === '')
}

/** `interceptors[2].options.window`. */
export function formatPath(path: Path): string {
  let text = ''
  for (const key of path) {
    if (typeof key === 'number') text += `[${key}]`
    else if (/^[\w.*@-]+$/.test(key) && !key.includes('.')) text += text === '' ? key : `.${key}`
    else text += `[${JSON.stringify(key)}]`
  }
  return text
}
