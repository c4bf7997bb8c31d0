import { defineInterceptor } from '#api'
import { Limiter } from './limiter.ts'
import { type Options, options } from './options.ts'
import { rulesOf } from './rules.ts'
import { Usage } from './usage.ts'

/** A request is whole before the chain sees it: there is no reason to let a large one past its limit. */
const MAX_BYTES = 2 ** 31 - 1

/**
 * How much each client, server or tool may have in a time (R043-R047), counted in the store that all instances share.
 *
 * Requests are counted before they go to the server; results by the bytes of the answer when it has ended, so that an
 * answer that is larger than what was left is still given, and the next ones wait for it. JSON is parsed only where
 * the key of a limit names an argument.
 */
export default defineInterceptor<Options, Usage>({
  name: 'rate-limit',
  summary: 'Keeps limits on requests, concurrent calls and sizes of results, by client, server, tool or argument.',
  options,
  looks: { request: { need: 'json', directions: ['toServer'], maxBytes: MAX_BYTES } },
  onFailure: 'closed',
  create(checked, environment) {
    const limiter = new Limiter(rulesOf(checked, environment.accessControl), environment)
    return {
      state: () => new Usage(),
      request: (message, exchange, usage) => limiter.request(message, exchange, usage),
      end(_exchange, outcome, usage: Usage | undefined) {
        if (usage !== undefined) limiter.end(outcome, usage)
      },
    }
  },
})
