/** An array that lost elements. */
interface ArrayCut {
  readonly path: string
  readonly kept: number
  readonly total: number
}

/** The most arrays that a notice names. */
const MAX_NAMED = 5
const MAX_PATH = 80

/** What was taken out of a result, for people and models. */
export class Cuts {
  /** Members and elements that `pick` and `drop` took out. */
  dropped = 0
  /** Members that were left out because they did not fit. */
  members = 0
  strings = 0
  /** Bytes of text that were cut away. */
  textBytes = 0
  outlined = 0
  structuredRemoved = false
  #arrays: ArrayCut[] = []
  #moreArrays = 0

  array(path: readonly string[], kept: number, total: number): void {
    if (this.#arrays.length >= MAX_NAMED) this.#moreArrays++
    else this.#arrays.push({ path: pathText(path), kept, total })
  }

  /** Whether anything was. */
  get any(): boolean {
    return this.sentences().length > 0
  }

  /** One sentence for each kind of thing. */
  sentences(): string[] {
    const told = this.#arrays.map(({ path, kept, total }) => `${path}: ${kept} of ${total} items.`)
    if (this.#moreArrays > 0) told.push(`${this.#moreArrays} more arrays cut.`)
    if (this.strings > 0) told.push(`${plural(this.strings, 'string')} cut.`)
    if (this.members > 0) told.push(`${plural(this.members, 'field')} left out.`)
    if (this.dropped > 0) told.push(`${plural(this.dropped, 'field or item', 'fields or items')} dropped.`)
    if (this.textBytes > 0) told.push(`${plural(this.textBytes, 'byte')} of text cut.`)
    if (this.outlined > 0) told.push('Only an outline is shown.')
    if (this.structuredRemoved) told.push('structuredContent is left out.')
    return told
  }
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}

function pathText(path: readonly string[]): string {
  const text = path.length === 0 ? '(root)' : path.join('.')
  return text.length > MAX_PATH ? `${text.slice(0, MAX_PATH)}…` : text
}
