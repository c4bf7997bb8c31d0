import { readFileSync, statSync } from 'node:fs'

/** What became of a text with `${NAME}` in it. */
export interface Expansion {
  readonly text: string
  /** The variables it names, in order; those of a default that was not used are not among them. */
  readonly names: readonly string[]
  /** The values that came from the environment: they never appear in messages. */
  readonly values: readonly string[]
  /** The files some of them were read from. */
  readonly files: readonly string[]
  /** Whether the text is one reference and nothing else. */
  readonly whole: boolean
  /** What could not be expanded. */
  readonly problems: readonly ReferenceProblem[]
}

export interface ReferenceProblem {
  /** The reference as written, up to its name. */
  readonly written: string
  readonly text: string
}

const NAME = /[A-Za-z_][A-Za-z0-9_]*/y

/** Deepest nesting of references in defaults, `${A:-${B:-c}}`. */
const MAX_NESTING = 8

/** Largest file that `NAME_FILE` may name, in bytes. */
const MAX_VALUE_BYTES = 64 * 1024

/**
 * Expands `${NAME}` and `${NAME:-default}`; `$$` stands for `$`, any other `$` for itself. As in a shell, the default
 * holds where the variable is missing or empty; a default may hold references itself. Where `NAME` is missing or empty
 * and `NAME_FILE` is not, the value is that file's content without the line break at its end (the convention of Docker
 * secrets).
 */
export function expandReferences(text: string, env: NodeJS.ProcessEnv): Expansion {
  const names: string[] = []
  const values: string[] = []
  const files: string[] = []
  const problems: ReferenceProblem[] = []
  const out = { names, values, files, problems }
  const expanded = text.includes('$') ? expand(text, env, out, 0) : text
  const whole = text.startsWith('${') && closing(text, 2) === text.length - 1
  return { text: expanded, names, values, files, whole, problems }
}

interface Collected {
  readonly names: string[]
  readonly values: string[]
  readonly files: string[]
  readonly problems: ReferenceProblem[]
}

function expand(text: string, env: NodeJS.ProcessEnv, out: Collected, depth: number): string {
  let result = ''
  let from = 0
  for (let at = text.indexOf('$'); at !== -1; at = text.indexOf('$', from)) {
    result += text.slice(from, at)
    if (text[at + 1] === '$') {
      result += '$'
      from = at + 2
    } else if (text[at + 1] === '{') {
      const end = closing(text, at + 2)
      if (end === -1) {
        out.problems.push({ written: '${', text: 'unclosed reference "${": expected ${NAME}, or $$ for a literal $' })
        return result
      }
      result += resolve(text.slice(at + 2, end), env, out, depth)
      from = end + 1
    } else {
      result += '$'
      from = at + 1
    }
  }
  return result + text.slice(from)
}

/** Index of the brace that closes a reference whose inside begins at `from`; -1 when there is none. */
function closing(text: string, from: number): number {
  let depth = 1
  for (let i = from; i < text.length; i++) {
    if (text[i] === '}' && --depth === 0) return i
    if (text[i] === '$' && text[i + 1] === '{') depth++
  }
  return -1
}

function resolve(inside: string, env: NodeJS.ProcessEnv, out: Collected, depth: number): string {
  NAME.lastIndex = 0
  const name = NAME.exec(inside)?.[0] ?? ''
  const rest = inside.slice(name.length)
  if (name === '' || (rest !== '' && !rest.startsWith(':-')) || depth > MAX_NESTING) {
    const text = `bad reference "\${${inside}}": expected \${NAME} or \${NAME:-default}, or $$ for a literal $`
    out.problems.push({ written: `\${${name}`, text })
    return ''
  }
  const value = env[name] || (fromFile(name, env, out) ?? env[name])
  if (rest !== '' && (value === undefined || value === '')) return expand(rest.slice(2), env, out, depth + 1)
  if (value === undefined) {
    const text = `environment variable ${name} is not set: set it, or give a default by \${${name}:-default}`
    out.problems.push({ written: `\${${name}`, text })
    return ''
  }
  out.names.push(name)
  out.values.push(value)
  return value
}

/** What `NAME_FILE` leads to; `null` where there is no such variable. */
function fromFile(name: string, env: NodeJS.ProcessEnv, out: Collected): string | null {
  const file = env[`${name}_FILE`]
  if (file === undefined || file === '') return null
  out.files.push(file)
  try {
    const found = statSync(file)
    // A device or a pipe may never end.
    if (!found.isFile()) throw new Error('not a regular file')
    const { size } = found
    if (size > MAX_VALUE_BYTES) throw new Error(`${size} bytes, expected at most ${MAX_VALUE_BYTES}`)
    return readFileSync(file, 'utf8').replace(/\r?\n$/, '')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    const why = code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'no permission to read it' : message
    out.problems.push({ written: `\${${name}`, text: `${name}_FILE names ${file}: ${why}` })
    return ''
  }
}
