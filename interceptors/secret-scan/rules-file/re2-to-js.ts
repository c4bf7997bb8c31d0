import { type Assertion, folded, type Node, type Ranges } from './re2-syntax.ts'

/**
 * A pattern as a JavaScript source without flags that matches what RE2 would. Case is expanded into classes and never left to
 * `(?i:…)`: V8 14 loses it there for a class in an alternation.
 */
export function toJs(node: Node): string {
  switch (node.type) {
    case 'literal':
      return node.fold && isFolding(node.code)
        ? classOf(folded([[node.code, node.code]]), false)
        : escapeCode(node.code)
    case 'class':
      return classOf(node.ranges, node.negated)
    case 'any':
      return node.newline ? '[\\s\\S]' : '[^\\n]'
    case 'assertion':
      return ASSERTIONS[node.which]
    case 'group':
      return `(${node.capture ? '' : '?:'}${toJs(node.body)})`
    case 'choice':
      return node.options.map(toJs).join('|')
    case 'sequence':
      return node.items.map(item => (item.type === 'choice' ? `(?:${toJs(item)})` : toJs(item))).join('')
    case 'repeat':
      return repeated(node)
  }
}

const ASSERTIONS: Readonly<Record<Assertion, string>> = {
  'text-start': '(?<![\\s\\S])',
  'text-end': '(?![\\s\\S])',
  'line-start': '(?<=\\n|(?<![\\s\\S]))',
  'line-end': '(?=\\n|(?![\\s\\S]))',
  word: '\\b',
  'no-word': '\\B',
}

function repeated({ body, min, max, lazy }: Extract<Node, { type: 'repeat' }>): string {
  const single = body.type === 'literal' || body.type === 'class' || body.type === 'any' || body.type === 'group'
  const text = single ? toJs(body) : `(?:${toJs(body)})`
  return text + count(min, max) + (lazy ? '?' : '')
}

function count(min: number, max: number): string {
  if (max === Number.POSITIVE_INFINITY) return min === 0 ? '*' : min === 1 ? '+' : `{${min},}`
  if (min === max) return `{${min}}`
  return min === 0 && max === 1 ? '?' : `{${min},${max}}`
}

function isFolding(code: number): boolean {
  return (code >= 0x41 && code <= 0x5a) || (code >= 0x61 && code <= 0x7a) || code === 0x212a || code === 0x17f
}

function classOf(ranges: Ranges, negated: boolean): string {
  if (ranges.length === 0) return negated ? '[\\s\\S]' : '[^\\s\\S]'
  const text = ranges.map(([low, high]) => (low === high ? inClass(low) : `${inClass(low)}-${inClass(high)}`)).join('')
  return `[${negated ? '^' : ''}${text}]`
}

function inClass(code: number): string {
  const character = String.fromCharCode(code)
  return /[A-Za-z0-9_ ]/.test(character) ? character : hex(code)
}

function escapeCode(code: number): string {
  const character = String.fromCharCode(code)
  if (/[A-Za-z0-9_ '"`:;,=@!#%&<>~-]/.test(character)) return character
  return code > 0x7e || code < 0x20 ? hex(code) : `\\${character}`
}

function hex(code: number): string {
  return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16).padStart(4, '0')}`
}
