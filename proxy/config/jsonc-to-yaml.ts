/**
 * Makes of JSON with comments, as editors write it, text that a YAML parser reads: comments and tabs become blanks, so
 * that every line stays where it is, and names of variables in the forms of editors become `${NAME}`.
 * @param rename gives `NAME` for the inside of a reference such as `env:NAME`; `null` leaves it alone
 */
export function jsoncToYaml(text: string, rename: (inside: string) => string | null): string {
  let out = ''
  let at = text.startsWith('\ufeff') ? 1 : 0
  while (at < text.length) {
    const end = endOfToken(text, at)
    const token = text.slice(at, end)
    if (token.startsWith('"')) out += renameReferences(token, rename)
    else if (token.startsWith('//') || token.startsWith('/*')) out += token.replace(/[^\n]/g, ' ')
    else out += token === '\t' || token === '\r' ? ' ' : token
    at = end
  }
  return out
}

/** Where the string, comment or single character that begins at `at` ends. */
function endOfToken(text: string, at: number): number {
  if (text[at] === '"') return endOfString(text, at + 1)
  if (text.startsWith('//', at)) return until(text, '\n', at, 0)
  if (text.startsWith('/*', at)) return until(text, '*/', at + 2, 2)
  return at + 1
}

function endOfString(text: string, from: number): number {
  for (let at = from; at < text.length; at++) {
    if (text[at] === '\\') at++
    else if (text[at] === '"') return at + 1
  }
  return text.length
}

function until(text: string, mark: string, from: number, length: number): number {
  const found = text.indexOf(mark, from)
  return found === -1 ? text.length : found + length
}

/** A `$` that begins no reference means itself, also where two of them stand together. */
function renameReferences(token: string, rename: (inside: string) => string | null): string {
  return token.replace(/\$\{([^{}"]*)\}|\$/g, (whole, inside: string | undefined) => {
    if (inside === undefined) return '$$'
    const name = rename(inside)
    return name === null ? whole : `\${${name}}`
  })
}
