import { readFileSync, statSync } from 'node:fs'
import { type Document, LineCounter, parseDocument, type Scalar, visit, type YAMLError } from 'yaml'
import { type Diagnostic, inOrder } from './diagnostic.ts'
import { type Expansion, expandReferences } from './env-refs.ts'
import { YamlSource } from './yaml-source.ts'

/** The largest configuration or policy file that is read, in bytes. */
export const MAX_YAML_BYTES = 4 * 1024 * 1024

const LOST = 'bad YAML: '

/** How often anchors may be repeated, against files that unfold without end. */
const MAX_ALIASES = 1000

/** Reads a YAML file. Never throws: what is wrong stands in `diagnostics`. */
export function readYaml(file: string, env: NodeJS.ProcessEnv): YamlSource {
  const read = readText(file)
  return typeof read === 'string' ? parseYaml(read, file, env) : new YamlSource(file, null, [read], null)
}

/** Parses text as `readYaml` does; `file` is only a name. */
export function parseYaml(text: string, file: string, env: NodeJS.ProcessEnv): YamlSource {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, stringKeys: true, merge: true })
  const problems = [...document.errors, ...document.warnings]
  const diagnostics = untilLost(problems.map(problem => syntaxProblem(problem, text, file, lines)))
  if (diagnostics.length > 0) return new YamlSource(file, null, diagnostics, null)
  const expansions = expandScalars(document, env, (node, problem) => {
    const from = node.range?.[0] ?? 0
    const at = text.indexOf(problem.written, from)
    const place = lines.linePos(at === -1 || at > (node.range?.[1] ?? 0) ? from : at)
    diagnostics.push({ file, line: place.line, column: place.col, severity: 'error', text: problem.text })
  })
  return new YamlSource(file, toData(document, file, diagnostics), diagnostics, { text, document, lines, expansions })
}

/** Behind something it did not understand, the parser stumbles over all the rest: that helps nobody. */
function untilLost(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const sorted = inOrder(diagnostics)
  const lost = sorted.findIndex(diagnostic => diagnostic.text.startsWith(LOST))
  return lost === -1 ? sorted : sorted.slice(0, lost + 1)
}

/** The text of a UTF-8 file of at most `MAX_YAML_BYTES`, or what is wrong with it. */
export function readText(file: string): string | Diagnostic {
  const problem = (text: string): Diagnostic => ({ file, line: 0, column: 0, severity: 'error', text })
  try {
    const { size } = statSync(file)
    if (size > MAX_YAML_BYTES) return problem(`file of ${size} bytes: expected at most ${MAX_YAML_BYTES}`)
    return new TextDecoder('utf-8', { fatal: true }).decode(readFileSync(file))
  } catch (error) {
    return problem(readFailure(error))
  }
}

function readFailure(error: unknown): string {
  const code = (error as NodeJS.ErrnoException).code
  if (code === 'ENOENT') return 'no such file'
  if (code === 'EACCES') return 'no permission to read this file'
  if (code === 'EISDIR') return 'expected a file, got a folder'
  if (code === 'ERR_ENCODING_INVALID_ENCODED_DATA') return 'expected UTF-8 text'
  return `cannot be read: ${code ?? String(error)}`
}

function toData(document: Document, file: string, diagnostics: Diagnostic[]): unknown {
  try {
    return document.toJS({ maxAliasCount: MAX_ALIASES })
  } catch (error) {
    const { message } = error as Error
    const text = message.startsWith('Excessive alias')
      ? 'anchors (&a, *a) that unfold to too much: write it out'
      : message
    diagnostics.push({ file, line: 0, column: 0, severity: 'error', text })
    return null
  }
}

/** Expands the references of every value in place. Keys are left alone. */
function expandScalars(
  document: Document,
  env: NodeJS.ProcessEnv,
  report: (node: Scalar, problem: { written: string; text: string }) => void,
): Map<Scalar, Expansion> {
  const expansions = new Map<Scalar, Expansion>()
  visit(document, {
    Scalar(key, node) {
      if (key === 'key' || typeof node.value !== 'string' || !node.value.includes('$')) return
      const expansion = expandReferences(node.value, env)
      expansions.set(node, expansion)
      for (const problem of expansion.problems) report(node, problem)
      node.value = expansion.whole && node.type === 'PLAIN' ? retype(expansion.text) : expansion.text
    },
  })
  return expansions
}

/** What YAML would have made of the text, had it stood there: `8080` is a number, `true` a boolean. */
function retype(text: string): unknown {
  if (text === 'true' || text === 'false') return text === 'true'
  if (/^[-+]?(?:0|[1-9]\d*)(?:\.\d+)?$/.test(text) && Number.isFinite(Number(text))) return Number(text)
  return text
}

function syntaxProblem(error: YAMLError, text: string, file: string, lines: LineCounter): Diagnostic {
  const place = lines.linePos(error.pos[0])
  const line = text.slice(lines.lineStarts[place.line - 1], lines.lineStarts[place.line] ?? text.length)
  return { file, line: place.line, column: place.col, severity: 'error', text: syntaxText(error, text, line) }
}

function syntaxText(error: YAMLError, text: string, line: string): string {
  const word = /^[^\s,\]}]*/.exec(text.slice(error.pos[0]))?.[0] ?? ''
  switch (error.code) {
    case 'DUPLICATE_KEY':
      return `duplicate key "${word.replace(/:$/, '')}": each key may stand once`
    case 'TAB_AS_INDENT':
      return 'tab in indentation: YAML allows spaces only'
    case 'MULTIPLE_DOCS':
      return 'second document (---): expected one a file'
    case 'TAG_RESOLVE_FAILED':
      return `"${word}" is a YAML tag here: write '${word}' in quotes to mean the text`
    default:
      return `${LOST}${error.message.replace(/\.$/, '')}${referenceHint(line)}`
  }
}

function referenceHint(line: string): string {
  return /[{[].*\$\{/.test(line) ? ' (within { } or [ ] a reference needs quotes: "${NAME}")' : ''
}
