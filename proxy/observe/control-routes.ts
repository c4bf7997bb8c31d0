import type { Json } from '../api/index.ts'
import type { ControlAsk } from './control.ts'

/** JSON, or lines of JSON: each text is one or more whole lines, with their line ends. */
export type ControlAnswer = Json | AsyncIterable<string>

/** What a route gets. */
export interface ControlRequest extends ControlAsk {
  /** What stood in the place of `:name` in the route's path. */
  readonly params: Readonly<Record<string, string>>
}

export interface ControlRoute {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** `/servers/:name/start`: a part that begins with a colon fits any one part. */
  readonly path: string
  /** Rejects with a ControlError for what the asker did wrong. */
  handler(request: ControlRequest): Promise<ControlAnswer> | ControlAnswer
}

/** What the asker did wrong, or what cannot be had now, with the HTTP status that says so. */
export class ControlError extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.name = 'ControlError'
    this.status = status
  }
}

/** A table of routes. The first one that fits answers. */
export class ControlRoutes {
  readonly #routes: readonly { readonly route: ControlRoute; readonly parts: readonly string[] }[]

  constructor(routes: readonly ControlRoute[]) {
    this.#routes = routes.map(route => ({ route, parts: partsOf(route.path) }))
  }

  /** `GET /servers`, in the order of the table. */
  get list(): string[] {
    return this.#routes.map(({ route }) => `${route.method} ${route.path}`)
  }

  /** Whether a route has this path, whatever its method. */
  knows(path: string): boolean {
    const given = partsOf(path)
    return this.#routes.some(({ parts }) => matchParts(parts, given) !== null)
  }

  /** Rejects with a ControlError when no route fits. */
  async answer(ask: ControlAsk): Promise<ControlAnswer> {
    const given = partsOf(ask.path)
    const allowed: string[] = []
    for (const { route, parts } of this.#routes) {
      const params = matchParts(parts, given)
      if (params === null) continue
      if (route.method === ask.method) return route.handler({ ...ask, params })
      allowed.push(route.method)
    }
    if (allowed.length > 0) throw new ControlError(405, `${ask.method} ${ask.path}: expected ${allowed.join(' or ')}`)
    throw new ControlError(404, `there is nothing at ${ask.path}; there are: ${this.list.join(', ')}`)
  }
}

export function isStream(answer: ControlAnswer): answer is AsyncIterable<string> {
  return typeof answer === 'object' && answer !== null && Symbol.asyncIterator in answer
}

function partsOf(path: string): string[] {
  return path.split('/').filter(part => part !== '')
}

function matchParts(pattern: readonly string[], given: readonly string[]): Record<string, string> | null {
  if (pattern.length !== given.length) return null
  const params: Record<string, string> = {}
  for (const [i, part] of pattern.entries()) {
    const value = given[i] as string
    if (part.startsWith(':')) params[part.slice(1)] = decode(value)
    else if (part !== value) return null
  }
  return params
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}
