/** States are 16 bits wide; a table of this size takes 16 MiB. */
const MAX_STATES = 32_768

/**
 * Finds any number of keywords in one pass: Aho and Corasick's automaton with all transitions filled in, one table look-up a
 * byte. Letters match in either case. States that end a keyword are numbered last, so that one comparison tells.
 */
export class KeywordDfa {
  /** Next state at `(state << 8) | byte`; a byte is anything below 256. State 0 is the start. */
  readonly table: Uint16Array
  /** States from here on end at least one keyword. */
  readonly firstAccept: number
  /** The keywords (by index) that end at state `firstAccept + n`. */
  readonly ends: readonly (readonly number[])[]
  /** Length of the longest keyword. */
  readonly longest: number

  /** @param keywords lower case, ASCII, not empty. @throws RangeError when they need too many states */
  constructor(keywords: readonly string[]) {
    this.longest = keywords.reduce((most, { length }) => Math.max(most, length), 0)
    const trie = new Trie(keywords)
    const order = trie.order()
    const renumbered = new Uint16Array(trie.size)
    for (const [position, state] of order.entries()) renumbered[state] = position
    this.firstAccept = order.findIndex(state => (trie.outputs[state]?.length ?? 0) > 0)
    if (this.firstAccept < 0) this.firstAccept = trie.size
    this.ends = order.slice(this.firstAccept).map(state => trie.outputs[state] ?? [])
    this.table = new Uint16Array(trie.size << 8)
    for (let state = 0; state < trie.size; state++) {
      const row = (renumbered[state] as number) << 8
      for (let byte = 0; byte < 256; byte++) {
        this.table[row | byte] = renumbered[trie.next[(state << 8) | lowerCase(byte)] as number] as number
      }
    }
  }
}

function lowerCase(byte: number): number {
  return byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte
}

/** The automaton before its states are put in order. */
class Trie {
  size: number
  readonly next: Uint16Array
  readonly outputs: number[][]
  readonly #fail: Uint16Array
  readonly #children: [byte: number, child: number][][]
  readonly #byDepth: number[]

  constructor(keywords: readonly string[]) {
    const most = keywords.reduce((sum, keyword) => sum + keyword.length, 1)
    if (most > MAX_STATES) throw new RangeError(`the keywords of all rules have more than ${MAX_STATES} characters`)
    this.size = 1
    this.next = new Uint16Array(most << 8)
    this.outputs = [[]]
    this.#fail = new Uint16Array(most)
    this.#children = [[]]
    this.#byDepth = []
    keywords.forEach((keyword, index) => void this.#add(keyword, index))
    this.#link()
  }

  /** All states, those that end a keyword last; else the nearest to the start first, as they are visited most. */
  order(): number[] {
    const states = [0, ...this.#byDepth]
    const accepts = (state: number): boolean => (this.outputs[state]?.length ?? 0) > 0
    return [...states.filter(state => !accepts(state)), ...states.filter(accepts)]
  }

  #add(keyword: string, index: number): void {
    let state = 0
    for (let i = 0; i < keyword.length; i++) {
      const at = (state << 8) | keyword.charCodeAt(i)
      if (this.next[at] === 0) {
        this.next[at] = this.size
        this.#children[state]?.push([keyword.charCodeAt(i), this.size])
        this.#children.push([])
        this.outputs.push([])
        this.size++
      }
      state = this.next[at] as number
    }
    this.outputs[state]?.push(index)
  }

  /** Breadth first: where no child goes on, a state goes on as the longest suffix of it that is a prefix of a keyword. */
  #link(): void {
    const queue = this.#byDepth
    for (const [, child] of this.#children[0] ?? []) queue.push(child)
    for (let head = 0; head < queue.length; head++) {
      const state = queue[head] as number
      const fallback = this.#fail[state] as number
      this.outputs[state]?.push(...(this.outputs[fallback] ?? []))
      const own = new Map(this.#children[state])
      for (let byte = 0; byte < 256; byte++) {
        const child = own.get(byte)
        const onward = this.next[(fallback << 8) | byte] as number
        if (child === undefined) this.next[(state << 8) | byte] = onward
        else {
          this.#fail[child] = onward
          queue.push(child)
        }
      }
    }
  }
}
