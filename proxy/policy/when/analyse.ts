import { suggestion } from '../../base/suggest.ts'
import { compilePattern, LINEAR_MATCHES } from './language.ts'
import { VALUES, VARIABLES } from './variables.ts'

/** The parts of a node of the expression's tree that are looked at; `args` depends on `op`. */
export interface Node {
  readonly op: string
  args: unknown
  readonly start: number
}

/** Something wrong with an expression. */
export interface Fault {
  readonly text: string
  /** Where, in UTF-16 units from its beginning. */
  readonly offset: number
}

export interface Analysis {
  /** The variables it refers to. */
  readonly variables: ReadonlySet<string>
  readonly faults: readonly Fault[]
}

/** Macros that run their body once for each element. */
const LOOPS = new Set(['all', 'exists', 'exists_one', 'map', 'filter'])

/** What is short whatever a peer sends, so that it may be used once for each element of a list. */
const SHORT = new Set(['client', 'server', 'kind', 'direction', 'headers', 'now'])

/**
 * Looks over an expression before it is checked for types: which variables it needs, and what would cost more than one
 * pass over a message. Makes `matches` run on RE2, in linear time.
 */
export function analyse(root: Node): Analysis {
  const analyser = new Analyser()
  analyser.visit(root, NOTHING_BOUND)
  return analyser
}

/** Names that an expression itself brings, and what may be used where. */
interface Scope {
  readonly bound: ReadonlySet<string>
  /** Within a loop: its own variable, and those bound within it; `null` = in none. */
  readonly loop: ReadonlySet<string> | null
}

const NAMES: ReadonlySet<string> = new Set(VARIABLES.map(([name]) => name))

const NOTHING_BOUND: Scope = { bound: new Set(), loop: null }

class Analyser implements Analysis {
  readonly variables = new Set<string>()
  readonly faults: Fault[] = []

  visit(node: Node, scope: Scope): void {
    if (node.op === 'id') this.identifier(node, scope)
    else if (node.op === 'rcall') this.method(node, scope)
    else this.rest(node, scope)
  }

  private rest(node: Node, scope: Scope): void {
    if (node.op === '==' || node.op === '!=' || node.op === 'in') this.comparison(node.args as [Node, Node])
    for (const child of nodesOf(node.args)) this.visit(child, scope)
  }

  private identifier(node: Node, scope: Scope): void {
    const name = node.args as string
    const isOurs = !scope.bound.has(name) && NAMES.has(name)
    if (isOurs) this.variables.add(name)
    // Other names are those of types, or unknown, which the type check tells.
    if (scope.loop === null || scope.loop.has(name) || (isOurs ? SHORT.has(name) : !scope.bound.has(name))) return
    const text = `"${name}" may not be used within all, exists, map or filter: that could take its size times that of the list`
    this.fault(node, `${text}; there may be: the variable of the loop, ${[...SHORT].join(', ')}`)
  }

  private method(node: Node, scope: Scope): void {
    const [name, receiver, args] = node.args as [string, Node, readonly Node[]]
    if (name === 'matches') this.matches(node, args)
    this.visit(receiver, scope)
    const [variable, ...body] = args
    if (LOOPS.has(name) && variable?.op === 'id' && body.length > 0) {
      const own = variable.args as string
      const inner = { bound: new Set([...scope.bound, own]), loop: new Set([own]) }
      for (const child of body) this.visit(child, inner)
    } else if (name === 'bind' && receiver.op === 'id' && receiver.args === 'cel' && variable?.op === 'id') {
      this.bind(variable.args as string, body, scope)
    } else {
      for (const child of args) this.visit(child, scope)
    }
  }

  private bind(own: string, [value, body]: readonly Node[], scope: Scope): void {
    if (value !== undefined) this.visit(value, scope)
    const loop = scope.loop === null ? null : new Set([...scope.loop, own])
    if (body !== undefined) this.visit(body, { bound: new Set([...scope.bound, own]), loop })
  }

  /** A pattern is known at load, or it is a peer's to choose. */
  private matches(node: Node, [pattern]: readonly Node[]): void {
    const args = node.args as [string, Node, readonly Node[]]
    node.args = [LINEAR_MATCHES, args[1], args[2]]
    if (pattern === undefined) return
    if (pattern.op !== 'value' || typeof pattern.args !== 'string') {
      this.fault(pattern, 'matches() wants a pattern in quotes: one that comes from a message could be anything')
      return
    }
    try {
      compilePattern(pattern.args)
    } catch (error) {
      this.fault(pattern, `bad pattern: ${(error as Error).message} (RE2 syntax: no look-around, no back references)`)
    }
  }

  /** `direction == "toServer"` is never true, and nobody would notice. */
  private comparison([left, right]: readonly [Node, Node]): void {
    const [variable, others] = left.op === 'id' ? [left, right] : [right, left]
    const values = variable.op === 'id' ? VALUES[variable.args as string] : undefined
    if (values === undefined) return
    const literals = others.op === 'list' ? (others.args as readonly Node[]) : [others]
    for (const literal of literals) {
      if (literal.op !== 'value' || typeof literal.args !== 'string' || values.includes(literal.args)) continue
      this.fault(literal, `"${variable.args}" is never "${literal.args}"${suggestion(literal.args, values)}`)
    }
  }

  private fault(node: Node, text: string): void {
    this.faults.push({ text, offset: node.start })
  }
}

function nodesOf(args: unknown): Node[] {
  if (Array.isArray(args)) return args.flatMap(nodesOf)
  return typeof args === 'object' && args !== null && 'op' in args ? [args as Node] : []
}
