import { defineInterceptor, GlobList, globProblem, Verdict, z } from '#api'

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const

const glob = z
  .string()
  .refine(text => globProblem(text) === null, { error: ({ input }) => globProblem(String(input)) ?? '' })

/** What `options:` of the chain entry may say. Descriptions end up in `sluice list` and in the editor. */
const options = z.object({
  tools: z.array(glob).min(1).default(['*deploy*']).describe('Globs of the tools that deploy something'),
  days: z.array(z.enum(DAYS)).min(1).default(['sat', 'sun']).describe('Days without deploys'),
  time_zone: z
    .string()
    .refine(isTimeZone, 'expected an IANA time zone, like "Europe/Berlin"')
    .default('UTC')
    .describe('Whose days these are'),
})

/**
 * The documented example (docs/interceptors.md): refuses tools that deploy something on days when nobody is there to
 * repair it. It reads only the envelope, so a call costs no parsing, and it returns no promise.
 */
export default defineInterceptor({
  name: 'no-weekend-deploys',
  summary: 'Refuses tools that deploy something on weekends.',
  options,
  looks: { request: { need: 'envelope', methods: ['tools/call'], directions: ['toServer'] } },
  onFailure: 'closed',
  create({ tools, days, time_zone: timeZone }, { clock }) {
    const deploys = new GlobList(tools)
    const weekday = new Intl.DateTimeFormat('en-US', { timeZone, weekday: 'short' })
    const closed = new Set<string>(days)
    return {
      request(message, exchange) {
        if (!deploys.fits(message.name)) return undefined
        const today = weekday.format(clock.now())
        exchange.note('deploy_day', today)
        if (!closed.has(today.toLowerCase())) return undefined
        return Verdict.deny('denied', `No deploys on ${today} (${timeZone}): ${message.name} is refused`)
      },
    }
  },
})

function isTimeZone(name: string): boolean {
  try {
    new Intl.DateTimeFormat('en-US', { timeZone: name })
    return true
  } catch {
    return false
  }
}
