/**
 * Splits a command line into words as a shell does: blanks part them, quotes and backslashes keep them together. Nothing
 * is expanded.
 * @throws SyntaxError when a quote is not closed
 */
export function splitWords(line: string): string[] {
  const words: string[] = []
  let word: string | null = null
  let quote = ''
  for (let i = 0; i < line.length; i++) {
    const character = line[i] as string
    if (quote === "'" ? character !== "'" : character === '\\') {
      const literal: string = quote === "'" ? character : escaped(line[++i], quote)
      word = (word ?? '') + literal
    } else if (quote !== '') {
      if (character === quote) quote = ''
      else word = (word ?? '') + character
    } else if (character === '"' || character === "'") {
      quote = character
      word ??= ''
    } else if (/\s/.test(character)) {
      if (word !== null) words.push(word)
      word = null
    } else {
      word = (word ?? '') + character
    }
  }
  if (quote !== '') throw new SyntaxError(`a ${quote} is not closed`)
  return word === null ? words : [...words, word]
}

/** Within double quotes a backslash stands for itself, unless something follows that it could take literally. */
function escaped(next: string | undefined, quote: string): string {
  if (next === undefined) return '\\'
  return quote === '"' && !/["\\$`]/.test(next) ? `\\${next}` : next
}
