import { type Direction, GlobList } from '#api'
import type { Action, Options } from './options.ts'
import type { Rule } from './rule.ts'

/** What each rule does in each direction. */
export class Actions {
  readonly #byRule: ReadonlyMap<string, Readonly<Record<Direction, Action>>>

  /** @throws Error where an exception fits no rule, which is a spelling mistake more often than not */
  constructor(rules: readonly Rule[], options: Options) {
    const exceptions = Object.entries(options.rules).map(([glob, given]) => ({
      glob,
      fits: new GlobList([glob]),
      given: typeof given === 'string' ? { to_server: given, to_client: given } : given,
    }))
    for (const { glob, fits } of exceptions) {
      if (!rules.some(rule => fits.fits(rule.id))) throw new Error(`rules: "${glob}" fits no rule${hint(glob, rules)}`)
    }
    const byRule = new Map<string, Record<Direction, Action>>()
    for (const { id } of rules) {
      const actions = { toServer: options.to_server, toClient: options.to_client }
      for (const { fits, given } of exceptions) {
        if (!fits.fits(id)) continue
        actions.toServer = given.to_server ?? actions.toServer
        actions.toClient = given.to_client ?? actions.toClient
      }
      byRule.set(id, actions)
    }
    this.#byRule = byRule
  }

  of(rule: Rule, direction: Direction): Action {
    return this.#byRule.get(rule.id)?.[direction] ?? 'off'
  }

  /** Whether a rule does anything at all. */
  isOn(rule: Rule): boolean {
    return this.of(rule, 'toServer') !== 'off' || this.of(rule, 'toClient') !== 'off'
  }

  /** Whether any rule does anything in a direction. */
  looks(direction: Direction): boolean {
    return [...this.#byRule.values()].some(actions => actions[direction] !== 'off')
  }
}

/** Ids that begin alike. */
function hint(glob: string, rules: readonly Rule[]): string {
  const start = glob.split(/[-*?[{]/)[0] ?? ''
  const alike = rules.map(rule => rule.id).filter(id => start.length > 1 && id.startsWith(start.slice(0, 4)))
  return alike.length === 0 ? '' : `; there are ${alike.slice(0, 5).join(', ')}`
}
