import type { Json, JsonObject } from '#api'
import { brief, isObject } from './json.ts'
import { Unusable } from './unusable.ts'

/** Resolves the `$ref`s of one schema within it. Nothing is ever fetched. */
export class References {
  readonly #root: JsonObject
  #anchors: Map<string, JsonObject> | null = null

  constructor(root: JsonObject) {
    this.#root = root
  }

  /** @throws Unusable where it leads out of the schema, or nowhere */
  resolve(reference: string): Json {
    const fragment = this.#fragmentOf(reference)
    const target = fragment === '' || fragment.startsWith('/') ? this.#follow(fragment) : this.#anchor(fragment)
    if (isObject(target) || typeof target === 'boolean') return target
    throw new Unusable(`refers to ${brief(JSON.stringify(reference))}, which it does not have`)
  }

  #fragmentOf(reference: string): string {
    const [base = '', fragment = ''] = splitOnce(reference, '#')
    const own = this.#root['$id']
    if (base === '' || (typeof own === 'string' && base === splitOnce(own, '#')[0])) return decode(fragment)
    throw new Unusable(`refers to ${brief(JSON.stringify(reference))}, outside of itself; nothing is fetched`)
  }

  #follow(pointer: string): Json | undefined {
    let at: Json | undefined = this.#root
    for (const part of pointer.split('/').slice(1)) {
      const key = part.replaceAll('~1', '/').replaceAll('~0', '~')
      if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
      at = (at as JsonObject)[key]
    }
    return at
  }

  #anchor(name: string): JsonObject | undefined {
    this.#anchors ??= collectAnchors(this.#root)
    return this.#anchors.get(name)
  }
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at === -1 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)]
}

function decode(fragment: string): string {
  try {
    return decodeURIComponent(fragment)
  } catch {
    throw new Unusable(`refers to ${brief(JSON.stringify(`#${fragment}`))}, which is no URI`)
  }
}

/** `$anchor`, `$dynamicAnchor` (one document has but one of a name), and draft-07's `$id: "#name"`. */
function collectAnchors(root: JsonObject): Map<string, JsonObject> {
  const found = new Map<string, JsonObject>()
  const waiting: Json[] = [root]
  for (let value = waiting.pop(); value !== undefined; value = waiting.pop()) {
    if (typeof value !== 'object' || value === null) continue
    if (isObject(value)) {
      for (const keyword of ['$anchor', '$dynamicAnchor', '$id']) {
        const name = value[keyword]
        if (typeof name !== 'string' || (keyword === '$id' && !name.startsWith('#'))) continue
        found.set(keyword === '$id' ? name.slice(1) : name, value)
      }
    }
    waiting.push(...Object.values(value))
  }
  return found
}
