import type { AccessControl, ClientRules, Quota } from '#api'
import type { LimitOptions, Options } from './options.ts'
import { Rule, requestsOf, requestsPerMinute, tokensPerDay } from './rule.ts'

/** Every limit that holds: those of `access_control`, then those of the options. @throws Error when there is none */
export function rulesOf(options: Options, accessControl: AccessControl | null): readonly Rule[] {
  const whenDown = options.store_down === 'insurance' ? 'local' : 'refuse'
  const rules = [
    ...(options.access_control ? clientRules(accessControl, whenDown) : []),
    ...namedRules(options.limits, whenDown),
  ]
  if (rules.length > 0) return rules
  throw new Error('no limit: give "limits", or rate_limit or rate_limits of a client in access_control')
}

function namedRules(limits: readonly LimitOptions[], whenDown: Quota['whenDown']): Rule[] {
  const taken = new Set<string>()
  return limits.map(given => {
    const name = given.name ?? freeName(nameOf(given), taken)
    if (taken.has(name)) throw new Error(`two limits are named "${name}": give each a name of its own`)
    taken.add(name)
    return new Rule(name, given, whenDown)
  })
}

/** Without the limit itself: a limit that was changed goes on with what has been counted. */
function nameOf({ what, key }: LimitOptions): string {
  return [what, ...key.map(part => part.toLowerCase().replaceAll(/[^a-z0-9.]/g, '_'))].join('-')
}

function freeName(name: string, taken: ReadonlySet<string>): string {
  for (let i = 1; ; i++) {
    const tried = i === 1 ? name : `${name}-${i}`
    if (!taken.has(tried)) return tried
  }
}

/** Clients without rules of their own have those of `*`, each for itself. */
function clientRules(accessControl: AccessControl | null, whenDown: Quota['whenDown']): Rule[] {
  if (accessControl === null) return []
  const { clients } = accessControl
  return [...clients].flatMap(([client, rules]) => {
    const fits = client === '*' ? (id: string) => !clients.has(id) : (id: string) => id === client
    return limitsOf(rules).map(([name, limit]) => new Rule(name, limit, whenDown, fits))
  })
}

function limitsOf({
  rateLimit,
  requestsPerMinute: perMinute,
  tokensPerDay: perDay,
}: ClientRules): [string, LimitOptions][] {
  const limits: [string, LimitOptions][] = []
  if (rateLimit !== null) limits.push(['rate_limit', requestsOf(rateLimit)])
  if (perMinute !== null) limits.push(['requests_per_minute', requestsPerMinute(perMinute)])
  if (perDay !== null) limits.push(['tokens_per_day', tokensPerDay(perDay)])
  return limits
}
