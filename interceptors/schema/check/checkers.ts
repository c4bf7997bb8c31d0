import { createHash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import type { JsonObject } from '#api'
import { Checker, type Means } from './checker.ts'

/** Most schemas kept ready, and most schemas within them. */
const MAX_CHECKERS = 2000
const MAX_NODES = 50_000

/** Schemas by their text: the same one of two tools, servers or lists is compiled once. */
export class Checkers {
  readonly #means: Means
  readonly #known = new LRUCache<string, Checker>({
    max: MAX_CHECKERS,
    maxSize: MAX_NODES,
    sizeCalculation: checker => 1 + Math.min(checker.nodes, MAX_NODES - 1),
  })

  constructor(means: Means) {
    this.#means = means
  }

  /** The key of a schema; costs one walk through it. */
  static keyOf(schema: JsonObject): string {
    const text = JSON.stringify(schema)
    return `${Buffer.byteLength(text)}:${createHash('sha256').update(text).digest('base64')}`
  }

  /** @param key as `keyOf` gave it */
  get(key: string, schema: JsonObject): Checker {
    let checker = this.#known.get(key)
    if (checker === undefined) {
      checker = new Checker(schema, Number(key.slice(0, key.indexOf(':'))), this.#means)
      this.#known.set(key, checker)
    }
    return checker
  }
}
