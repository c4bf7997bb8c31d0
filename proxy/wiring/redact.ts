/** Shorter values would make a log unreadable, and are no secrets. */
const MIN_LENGTH = 6
/** Values that are remembered, those of the last starts. */
const MAX_VALUES = 256
const MASK = '***REDACTED***'

/** Takes the secrets that replicas were given out of what they say. */
export class OutputRedactor {
  #values: string[] = []

  remember(values: Iterable<string>): void {
    const fresh = [...values].flatMap(value => value.split('\n')).filter(value => value.length >= MIN_LENGTH)
    // Longer ones first: one may begin with another.
    const all = [...new Set([...fresh, ...this.#values])].slice(0, MAX_VALUES)
    this.#values = all.toSorted((a, b) => b.length - a.length)
  }

  readonly redact = (line: string): string => {
    let clean = line
    for (const value of this.#values) clean = clean.replaceAll(value, MASK)
    return clean
  }
}
