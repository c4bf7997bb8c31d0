/** Names are compared by no more than this many characters. */
const MAX_LENGTH = 100
/** Most candidates that are compared. */
const MAX_CANDIDATES = 2000
/** Share of pairs of letters in common from which two names count as alike. */
const ALIKE = 0.45

/**
 * Candidates that look like `word`, the most alike first: by the pairs of letters they share (Sørensen–Dice), whatever
 * the case and whatever `_`, `-`, `.` and `/` stand between.
 */
export function similar(word: string, candidates: Iterable<string>): string[] {
  const wanted = pairs(word)
  const found: { name: string; score: number }[] = []
  let compared = 0
  for (const name of candidates) {
    if (++compared > MAX_CANDIDATES) break
    const score = likeness(wanted, pairs(name))
    if (score >= ALIKE) found.push({ name, score })
  }
  return found.sort((a, b) => b.score - a.score).map(({ name }) => name)
}

function pairs(name: string): Map<string, number> {
  const text = ` ${name
    .slice(0, MAX_LENGTH)
    .toLowerCase()
    .replace(/[-_./\s]/g, '')} `
  const counts = new Map<string, number>()
  for (let i = 0; i + 1 < text.length; i++) {
    const pair = text.slice(i, i + 2)
    counts.set(pair, (counts.get(pair) ?? 0) + 1)
  }
  return counts
}

function likeness(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): number {
  let common = 0
  for (const [pair, count] of a) common += Math.min(count, b.get(pair) ?? 0)
  return (2 * common) / (sum(a) + sum(b))
}

function sum(counts: ReadonlyMap<string, number>): number {
  let total = 0
  for (const count of counts.values()) total += count
  return total
}
