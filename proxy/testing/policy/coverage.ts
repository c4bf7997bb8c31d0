import type { Hooks, Interceptor } from '../../api/index.ts'
import type { Diagnostic } from '../../base/diagnostic.ts'
import { loadPolicies } from '../../policy/load.ts'
import { Registry } from '../../policy/registry.ts'
import { resolveEntries } from '../../policy/resolve-entries.ts'
import type { RehearsalInput } from './rehearsal.ts'

/** A rule of a policy: a chain entry, or a client of `access_control`. */
interface Rule {
  readonly kind: 'entry' | 'client'
  readonly name: string
  readonly place: Diagnostic
}

/** Which rules of a policy its tests have put to use. */
export class Coverage {
  private readonly rules: readonly Rule[]
  private readonly entries = new Set<string>()
  private readonly clients = new Set<string>()

  constructor(input: RehearsalInput) {
    this.rules = rulesOf(input)
  }

  entry(name: string): void {
    this.entries.add(name)
  }

  /** A client that the policy does not name counts for `*`. */
  client(name: string): void {
    const known = this.rules.some(rule => rule.kind === 'client' && rule.name === name)
    this.clients.add(known ? name : '*')
  }

  get total(): number {
    return this.rules.length
  }

  get exercised(): number {
    return this.rules.filter(rule => this.isExercised(rule)).length
  }

  /** Where the rules stand that no test has put to use. */
  get missing(): readonly Diagnostic[] {
    return this.rules.filter(rule => !this.isExercised(rule)).map(rule => rule.place)
  }

  private isExercised({ kind, name }: Rule): boolean {
    return (kind === 'entry' ? this.entries : this.clients).has(name)
  }
}

function rulesOf({ files, inline, registry, env }: RehearsalInput): Rule[] {
  const { parts } = loadPolicies(files, inline ?? [], env)
  const { entries } = resolveEntries(parts, registry)
  const active = entries.filter(entry => entry.raw.mode !== 'off')
  const chain = active.map(({ name, source, path }): Rule => {
    return { kind: 'entry', name, place: source.diagnostic(path, `"${name}"`) }
  })
  const clients = parts.flatMap(({ source, raw }) => {
    const section = raw.access_control
    if (section?.enabled !== true) return []
    return Object.keys(section.clients).map((name): Rule => {
      const place = source.diagnostic(['access_control', 'clients', name], `client "${name}"`, { at: 'key' })
      return { kind: 'client', name, place }
    })
  })
  return [...clients, ...chain]
}

/** The same interceptors, and whoever wants to know is told which chain entry runs. */
export function watchedRegistry(registry: Registry, ran: (entry: string) => void): Registry {
  return Registry.of(registry.list().map(({ interceptor }) => watchedInterceptor(interceptor, ran)))
}

function watchedInterceptor(interceptor: Interceptor, ran: (entry: string) => void): Interceptor {
  return {
    ...interceptor,
    async create(options, environment) {
      const hooks = await interceptor.create(options, environment)
      return typeof hooks === 'object' && hooks !== null ? watchedHooks(hooks, () => ran(environment.entry)) : hooks
    },
  }
}

/** Absent hooks stay absent: what is not there must cost nothing, and change no plan. */
function watchedHooks(hooks: Hooks<unknown>, ran: () => void): Hooks<unknown> {
  return new Proxy(hooks, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function') return value
      const isLook = key === 'request' || key === 'response' || key === 'notification' || key === 'end'
      return (...given: unknown[]) => {
        if (isLook) ran()
        return Reflect.apply(value, target, given)
      }
    },
  })
}
