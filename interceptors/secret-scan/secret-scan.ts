import {
  type Count,
  defineInterceptor,
  type Environment,
  type Exchange,
  type Logger,
  type Message,
  Verdict,
} from '#api'
import type { Finding } from './message-scan.ts'
import { type Action, type Options, options } from './options.ts'
import { redact, removeAt } from './redact.ts'
import type { ActiveRule } from './rule-index.ts'
import { loadRulesFile } from './rules-file/load.ts'
import { type Report, SecretScanner } from './scanner.ts'
import { Streams } from './streams.ts'

/** Findings that notes and reasons name; the others are counted. */
const MAX_NAMED = 5

/** What an exchange has to remember; made of as little as there is in nearly all of them. */
class State {
  found = 0
  #streams: Streams | null = null
  #named: string[] | null = null

  get streams(): Streams {
    this.#streams ??= new Streams()
    return this.#streams
  }

  /** `rule@place#fingerprint` of the first findings. */
  get named(): string[] {
    this.#named ??= []
    return this.#named
  }
}

/**
 * Looks for secrets in every message, both ways, and blocks, redacts or reports them (R074). A message is first looked over as it
 * came, in one pass; only one that could hold something is taken apart.
 */
export default defineInterceptor<Options, State>({
  name: 'secret-scan',
  summary: 'Finds secrets, and personal data if asked to, in every message both ways; blocks, redacts or reports them.',
  options,
  looks: {
    request: { need: 'bytes', edits: true },
    response: { need: 'bytes', edits: true },
    notification: { need: 'bytes', edits: true },
  },
  onFailure: 'closed',
  create(checked, environment) {
    const guard = new SecretGuard(checked, environment)
    const look = (message: Message, exchange: Exchange, state: State): Verdict | undefined => {
      try {
        return guard.look(message, exchange, state)
      } catch (error) {
        // Nobody knows what is in there.
        exchange.withhold('secret-scan could not search all of it')
        throw error
      }
    }
    return {
      state: () => new State(),
      request: look,
      response: look,
      notification: look,
    }
  },
})

/** One chain entry at work. */
class SecretGuard {
  readonly #scanner: SecretScanner
  readonly #environment: Environment
  readonly #logger: Logger
  readonly #looks: { readonly toServer: boolean; readonly toClient: boolean }
  readonly #countFound: Count
  readonly #countTruncated: Count

  constructor(checked: Options, environment: Environment) {
    const { rules_file: file } = checked
    const fileRules: readonly ActiveRule[] =
      file === undefined ? [] : loadRulesFile(environment.resolve(file), environment.logger)
    this.#scanner = new SecretScanner(checked, fileRules, environment.clock)
    this.#environment = environment
    this.#logger = environment.logger
    const { actions } = this.#scanner
    this.#looks = { toServer: actions.looks('toServer'), toClient: actions.looks('toClient') }
    this.#countFound = environment.counter('secrets_found_total', 'Secrets found in messages.', [
      'rule',
      'direction',
      'action',
    ])
    this.#countTruncated = environment.counter(
      'secret_scans_truncated_total',
      'Messages whose scan for secrets was cut short.',
      ['direction'],
    )
  }

  look(message: Message, exchange: Exchange, state: State): Verdict | undefined {
    if (!this.#looks[message.direction]) return undefined
    const view = message.bytes()
    const bytes = Buffer.isBuffer(view) ? view : Buffer.from(view.buffer, view.byteOffset, view.byteLength)
    const piece = message.kind === 'notification' ? state.streams.pieceOf(message, bytes) : null
    const joins = piece?.tail.take(bytes, piece.start, piece.end, this.#scanner) === true
    const suspicious = joins || this.#scanner.suspects(bytes)
    piece?.tail.note(suspicious)
    if (!suspicious) return undefined
    const stream = piece === null ? null : { path: piece.path, before: piece.tail.before() }
    const report = this.#scanner.scan(bytes, message.direction, message.name, stream)
    if (report.findings.length === 0 && report.truncated === '') return undefined
    return this.#decide(report, bytes, message, exchange, state)
  }

  #decide(report: Report, bytes: Buffer, message: Message, exchange: Exchange, state: State): Verdict | undefined {
    const by = (action: Action): Finding[] =>
      report.findings.filter(finding => this.#scanner.actionOf(finding, message.direction) === action)
    const redacted = by('redact')
    const blocked = by('block')
    let verdict: Verdict | undefined
    if (blocked.length > 0) verdict = this.#refusal(blocked, message, '')
    else if (redacted.length > 0 && report.truncated !== '') verdict = this.#refusal(redacted, message, TOO_MUCH)
    else if (redacted.length > 0) verdict = this.#redact(redacted, bytes, message, exchange)
    this.#tell(report, verdict !== undefined, message, exchange, state)
    if (verdict !== undefined || report.truncated === '') return verdict
    throw new Error(`scan truncated: ${report.truncated}`)
  }

  #redact(findings: readonly Finding[], bytes: Buffer, message: Message, exchange: Exchange): Verdict | undefined {
    const isResult = message.kind === 'response' && message.direction === 'toClient' && message.method === 'tools/call'
    const tool = isResult ? this.#environment.tools(exchange.server)?.get(message.name) : undefined
    const schema = tool?.outputSchema
    const usable = typeof schema === 'object' && schema !== null && !Array.isArray(schema) ? schema : null
    const redaction = redact(bytes, findings, usable)
    if ('rule' in redaction) return this.#refusal([redaction], message, FIXED)
    message.replace(redaction.body)
    if (redaction.removals.length > 0) {
      message.edit(json => {
        for (const path of redaction.removals) removeAt(json, path)
      })
    }
    return undefined
  }

  #refusal(findings: readonly Finding[], message: Message, why: string): Verdict {
    const whose = message.direction === 'toServer' ? 'the message' : "the server's message"
    const list = this.#named(findings).join(', ')
    const reason = `Secret found in ${whose}: ${list}${why}. Remove it, or refer to it by name, and try again.`
    const data = findings.slice(0, MAX_NAMED).map(finding => ({
      rule: finding.rule.id,
      place: finding.place,
      fingerprint: this.#scanner.fingerprints.of(finding.value),
    }))
    return Verdict.deny('secret_found', reason, { findings: data })
  }

  /** `rule at place (fingerprint)`, the first few. */
  #named(findings: readonly Finding[]): string[] {
    const named = findings
      .slice(0, MAX_NAMED)
      .map(({ rule, place, value }) => `${rule.id} at ${place} (${this.#scanner.fingerprints.of(value)})`)
    if (findings.length > MAX_NAMED) named.push(`and ${findings.length - MAX_NAMED} more`)
    return named
  }

  /** Notes, log and counter: rule, place and fingerprint, never the secret. */
  #tell(report: Report, refused: boolean, message: Message, exchange: Exchange, state: State): void {
    const { direction } = message
    for (const finding of report.findings) {
      const configured = this.#scanner.actionOf(finding, direction)
      this.#countFound(1, finding.rule.id, direction, refused && configured === 'redact' ? 'block' : configured)
      state.found++
      if (state.named.length >= MAX_NAMED) continue
      const fingerprint = this.#scanner.fingerprints.of(finding.value)
      state.named.push(`${finding.rule.id}@${finding.place}#${fingerprint}`)
    }
    if (report.findings.length > 0) {
      exchange.withhold('secret-scan found a secret', namesSecret(report.findings, exchange) ? 'all' : 'values')
      exchange.note('secrets_found', state.found)
      exchange.note('secrets', state.named.join(' '))
      const fields = { exchange: exchange.id, server: exchange.server, method: message.method, direction, refused }
      this.#logger.warn({ ...fields, findings: this.#named(report.findings) }, 'secret found')
    }
    if (report.truncated === '') return
    this.#countTruncated(1, direction)
    exchange.note('secret_scan_truncated', report.truncated)
  }
}

/** Whether what the exchange is about (tool, prompt, URI, method) holds one of the secrets. */
function namesSecret(findings: readonly Finding[], { name, method }: Exchange): boolean {
  return findings.some(
    ({ value, cuts }) =>
      name.includes(value) ||
      method.includes(value) ||
      cuts.some(({ holder }) => holder.value === name || holder.value === method),
  )
}

const TOO_MUCH = '; and the message is too large or too dense to be searched to its end'
const FIXED = ', where the protocol or the tool’s output schema leaves no room for a marker'
