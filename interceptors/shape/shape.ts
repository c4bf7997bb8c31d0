import {
  type Count,
  defineInterceptor,
  type Environment,
  type Exchange,
  type Hooks,
  type JsonObject,
  type Message,
  parseExact,
  Verdict,
} from '#api'
import { eraOf } from './era.ts'
import { isRecord } from './json.ts'
import { Keeper, type Kept, URI_PREFIX } from './keeper.ts'
import { advertise, emptyList, mendSchemas } from './lists.ts'
import { noticeBlocks, pageResult } from './notice.ts'
import { type Options, options } from './options.ts'
import { BYTES_PER_TOKEN, Rule, ruleFor } from './rules.ts'
import { shapeResult } from './shape-result.ts'

const MAX_BYTES = 16 * 1024 * 1024
/** About what it costs to say that something was cut: for less than that nothing is. */
const NOTICE_BYTES = 512
const ADVERTISING = ['initialize', 'server/discover', 'resources/list', 'resources/templates/list']

/**
 * Cuts large results of tools down to what a model can use, says what was cut, and keeps the whole for a while: the
 * model reads it in pages through `resources/read`, which is answered from here.
 */
export default defineInterceptor<Options>({
  name: 'shape',
  summary: 'Cuts large results of tools, says what was cut, and keeps the whole behind a link for a while.',
  options,
  looks: {
    request: {
      need: 'envelope',
      methods: ['resources/read'],
      // What was cut for a tool that `match` names must be readable, and its schema mended.
      always: ['resources/read'],
      directions: ['toServer'],
    },
    response: {
      need: 'json',
      edits: true,
      methods: ['tools/call', 'tools/list', ...ADVERTISING],
      always: ['tools/list', ...ADVERTISING],
      directions: ['toClient'],
      maxBytes: MAX_BYTES,
    },
  },
  onFailure: 'open',
  create: (checked, environment) => {
    const keeper = new Keeper(checked, environment)
    const shaper = new Shaper(
      checked.rules.map(given => new Rule(given)),
      keeper,
      environment.counter(
        'sluice_result_tokens_saved_total',
        'Tokens that results of tools got shorter by, estimated as bytes of text / 4.',
        ['tool'],
      ),
      environment.applies,
    )
    const hooks: Hooks = {
      methods: { response: ['tools/call', 'tools/list', ...(checked.advertise ? ADVERTISING : [])] },
      request: (message, exchange) =>
        message.name.startsWith(URI_PREFIX)
          ? readPage(keeper, message.name, exchange, environment.clock.now())
          : undefined,
      response: (message, exchange) => shaper.response(message, exchange),
      close: () => keeper.close(),
    }
    return hooks
  },
})

async function readPage(keeper: Keeper, uri: string, exchange: Exchange, nowMs: number): Promise<Verdict | undefined> {
  if (keeper.isForeign(uri)) return undefined
  const { modern } = eraOf(exchange)
  const page = await keeper.read(uri, exchange, modern)
  if (page === null) {
    const text = 'Resource not found: this result was never kept for you, or not any more; call the tool again'
    return Verdict.deny('resource_not_found', text, { uri })
  }
  exchange.note('shape_page', page.head.page)
  return Verdict.reply(pageResult(uri, page, modern, nowMs), `page ${page.head.page} of a result that was cut`)
}

class Shaper {
  readonly #rules: readonly Rule[]
  readonly #keeper: Keeper
  readonly #count: Count
  readonly #applies: Environment['applies']

  constructor(rules: readonly Rule[], keeper: Keeper, count: Count, applies: Environment['applies']) {
    this.#rules = rules
    this.#keeper = keeper
    this.#count = count
    this.#applies = applies
  }

  response(message: Message, exchange: Exchange): Verdict | undefined | Promise<undefined> {
    if (message.method === 'tools/call') return this.#shape(message, exchange)
    if (message.method === 'tools/list') mendSchemas(message, tool => this.#listedRule(exchange, tool))
    else if (message.method.startsWith('resources/')) return emptyList(message, eraOf(exchange).modern)
    else advertise(message)
    return undefined
  }

  /** The rule that results of a listed tool will meet. */
  #listedRule(exchange: Exchange, tool: string): Rule | null {
    const { server, principal } = exchange
    return this.#applies(server, 'tools/call', tool, principal.id) ? this.#ruleFor(exchange, tool) : null
  }

  #ruleFor(exchange: Exchange, tool: string): Rule | null {
    return ruleFor(this.#rules, exchange.server, tool, exchange.principal.id)
  }

  /** A promise only where the whole result has to be stored: a link never leaves before it leads somewhere. */
  #shape(message: Message, exchange: Exchange): undefined | Promise<undefined> {
    const rule = this.#ruleFor(exchange, message.name)
    if (rule === null || !rule.mayTouch(message.byteLength)) return undefined
    const before = message.byteLength
    const kept = this.#edit(message, exchange, rule)
    const saved = Math.floor((before - message.byteLength) / BYTES_PER_TOKEN)
    if (saved > 0) {
      this.#count(saved, message.name)
      exchange.note('tokens_saved', saved)
    }
    return kept?.stored.then(() => undefined)
  }

  #edit(message: Message, exchange: Exchange, rule: Rule): Kept | null {
    const source = message.bytes()
    let kept: Kept | null = null
    message.edit(json => {
      const { result } = json
      if (!isRecord(result)) return
      const shaped = shapeResult(result, rule, () => exactStructured(source))
      if (shaped === null || shaped.told.length === 0) return
      if (!rule.always && shaped.before - shaped.after < NOTICE_BYTES) {
        json['result'] = resultIn(source)
        return
      }
      const era = eraOf(exchange)
      if (rule.link) kept = this.#keeper.keep(shaped.originals, exchange, era.modern)
      const content = Array.isArray(result['content']) ? result['content'] : []
      result['content'] = [...content, ...noticeBlocks(shaped, kept, rule.link, this.#keeper.keepMs, era.links)]
    })
    return kept
  }
}

function resultIn(source: Uint8Array): JsonObject {
  return (JSON.parse(Buffer.from(source).toString()) as JsonObject)['result'] as JsonObject
}

/** The structuredContent of a message with all its digits, without white space. */
function exactStructured(source: Uint8Array): string {
  const message = parseExact(source) as JsonObject
  return JSON.stringify((message['result'] as JsonObject)['structuredContent'])
}
