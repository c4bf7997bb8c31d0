/** Number of characters is at least `limit`; as JSON Schema counts, an astral one is one. */
export function hasAtLeast(text: string, limit: number): boolean {
  // A character is one or two units: mostly the number of units tells.
  if (text.length < limit) return false
  return text.length >= 2 * limit || characters(text) >= limit
}

export function hasAtMost(text: string, limit: number): boolean {
  if (text.length <= limit) return true
  return text.length <= 2 * limit && characters(text) <= limit
}

function characters(text: string): number {
  let count = text.length
  for (let i = 0; i + 1 < text.length; i++) {
    if ((text.charCodeAt(i) & 0xfc00) !== 0xd800 || (text.charCodeAt(i + 1) & 0xfc00) !== 0xdc00) continue
    count--
    i++
  }
  return count
}
