import type { Json } from '#api'
import { isContainer } from './json.ts'

/** The most parts of a path, and the most paths of a rule. */
const MAX_PARTS = 32
export const MAX_PATHS = 100

/** Paths as a tree: what may come next, by key or index; `*` any. */
interface Node {
  readonly children: Map<string, Node>
  any: Node | null
  end: boolean
}

/**
 * Paths into JSON: `items.*.name`, `total`, `rows.0`. A dot parts them, `*` stands for every member or element, a
 * backslash takes the next character literally: `a\.b`, `\*`.
 */
export class PathSet {
  readonly #root: Node

  /** @throws SyntaxError that says which path is wrong, and how */
  constructor(paths: readonly string[]) {
    this.#root = makeNode()
    for (const path of paths) add(this.#root, path)
  }

  /** Takes all but these paths out of `value`, in place. @returns how many members and elements went */
  pick(value: Json): number {
    return pickIn(value, [this.#root])
  }

  /** Takes these paths out of `value`, in place. @returns how many members and elements went */
  drop(value: Json): number {
    return dropIn(value, [this.#root])
  }
}

/** What is wrong with a path; `null` when it is good. */
export function pathProblem(path: string): string | null {
  try {
    add(makeNode(), path)
    return null
  } catch (error) {
    return (error as Error).message
  }
}

function makeNode(): Node {
  return { children: new Map(), any: null, end: false }
}

function add(root: Node, path: string): void {
  const parts = partsOf(path)
  if (parts.length > MAX_PARTS) throw new SyntaxError(`a path of more than ${MAX_PARTS} parts`)
  let node = root
  for (const { text, any } of parts) {
    let next = any ? node.any : (node.children.get(text) ?? null)
    if (next === null) {
      next = makeNode()
      if (any) node.any = next
      else node.children.set(text, next)
    }
    node = next
  }
  node.end = true
}

interface Part {
  readonly text: string
  readonly any: boolean
}

function partsOf(path: string): Part[] {
  const parts: Part[] = []
  let text = ''
  let literal = false
  const close = (): void => {
    if (text === '')
      throw new SyntaxError(`${JSON.stringify(path)}: an empty part; expected a path such as items.*.name`)
    parts.push({ text, any: text === '*' && !literal })
    text = ''
    literal = false
  }
  for (let i = 0; i < path.length; i++) {
    if (path[i] === '.') close()
    else if (path[i] !== '\\') text += path[i]
    else {
      if (++i === path.length) throw new SyntaxError(`${JSON.stringify(path)}: nothing follows the last backslash`)
      text += path[i]
      literal = true
    }
  }
  close()
  return parts
}

/** The nodes that a key leads to. */
function follow(nodes: readonly Node[], key: string): Node[] {
  const found: Node[] = []
  for (const node of nodes) {
    const child = node.children.get(key)
    if (child !== undefined) found.push(child)
    if (node.any !== null) found.push(node.any)
  }
  return found
}

function pickIn(value: Json, nodes: readonly Node[]): number {
  if (nodes.some(node => node.end) || !isContainer(value)) return 0
  return Array.isArray(value) ? pickElements(value, nodes) : pickMembers(value, nodes)
}

function pickElements(list: Json[], nodes: readonly Node[]): number {
  let gone = 0
  const kept = list.filter((element, index) => {
    const next = follow(nodes, String(index))
    if (!leadsTo(element, next)) return false
    gone += pickIn(element, next)
    return true
  })
  gone += list.length - kept.length
  replaceAll(list, kept)
  return gone
}

function pickMembers(object: { [key: string]: Json }, nodes: readonly Node[]): number {
  let gone = 0
  for (const [key, member] of Object.entries(object)) {
    const next = follow(nodes, key)
    if (leadsTo(member, next)) gone += pickIn(member, next)
    else {
      delete object[key]
      gone++
    }
  }
  return gone
}

/** Whether a value is picked, or may hold something that is. A path that goes on below a scalar picks nothing. */
function leadsTo(value: Json, nodes: readonly Node[]): boolean {
  return nodes.length > 0 && (isContainer(value) || nodes.some(node => node.end))
}

function dropIn(value: Json, nodes: readonly Node[]): number {
  if (nodes.length === 0 || !isContainer(value)) return 0
  return Array.isArray(value) ? dropElements(value, nodes) : dropMembers(value, nodes)
}

function dropMembers(object: { [key: string]: Json }, nodes: readonly Node[]): number {
  let gone = 0
  for (const [key, member] of Object.entries(object)) {
    const next = follow(nodes, key)
    if (next.some(node => node.end)) {
      delete object[key]
      gone++
    } else gone += dropIn(member, next)
  }
  return gone
}

function dropElements(list: Json[], nodes: readonly Node[]): number {
  let gone = 0
  const kept = list.filter((element, index) => {
    const next = follow(nodes, String(index))
    if (next.some(node => node.end)) return false
    gone += dropIn(element, next)
    return true
  })
  gone += list.length - kept.length
  replaceAll(list, kept)
  return gone
}

function replaceAll(list: Json[], kept: readonly Json[]): void {
  list.length = 0
  for (const element of kept) list.push(element)
}
