/**
 * The candidate a misspelt word most likely means.
 * @returns `null` when none is near: more than a third of its letters differ, or it has less than three
 */
export function suggest(word: string, candidates: Iterable<string>): string | null {
  let best: string | null = null
  let bestDistance = word.length < 3 ? 1 : Math.max(1, Math.floor(word.length / 3)) + 1
  for (const candidate of candidates) {
    if (word.length >= 3 && candidate.startsWith(word)) return candidate
    const distance = editDistance(word.toLowerCase(), candidate.toLowerCase(), bestDistance)
    if (distance < bestDistance) {
      best = candidate
      bestDistance = distance
    }
  }
  return best
}

/** `, did you mean "listen"?`, or the candidates when none is near, or nothing when there are none. */
export function suggestion(word: string, candidates: readonly string[], noun = 'allowed'): string {
  const near = suggest(word, candidates)
  if (near !== null) return `, did you mean "${near}"?`
  return candidates.length === 0 ? '' : `; ${noun}: ${[...candidates].sort().join(', ')}`
}

/** Optimal string alignment: insert, delete, replace, swap of neighbours cost 1. Gives up at `limit`. */
export function editDistance(a: string, b: string, limit = Number.POSITIVE_INFINITY): number {
  if (Math.abs(a.length - b.length) >= limit) return limit
  let before: number[] = []
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next.push(cheapest(a, b, i, j, before, row, next))
    before = row
    row = next
  }
  return row[b.length] ?? 0
}

function cheapest(a: string, b: string, i: number, j: number, before: number[], row: number[], next: number[]): number {
  const replace = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
  const best = Math.min(replace, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1)
  const swapped = i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]
  return swapped ? Math.min(best, (before[j - 2] ?? 0) + 1) : best
}
