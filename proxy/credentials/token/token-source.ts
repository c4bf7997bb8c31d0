import type { Clock } from '../../api/index.ts'
import { channels } from '../../observe/channels.ts'
import { SecretError, type SecretReader } from '../read-secret.ts'
import type { TokenSpec } from '../spec.ts'
import type { Timers } from './timers.ts'
import { type TokenAnswer, TokenError } from './token-answer.ts'
import type { AskEndpoint } from './token-endpoint.ts'
import { type KeptToken, seedOf, type TokenKeep } from './token-keep.ts'
import { tokenRequest } from './token-request.ts'

export interface TokenSourceOptions {
  readonly spec: TokenSpec
  readonly clock: Clock
  readonly timers: Timers
  readonly ask: AskEndpoint
  readonly keep: TokenKeep
  /** Between 0 and 1. */
  readonly random: () => number
  /** A fresh one, so that what changed meanwhile is seen. */
  reader(): SecretReader
  /** The servers it is shown to, for the log. */
  servers(): string
  /** Called after each change of what is public here. */
  changed(): void
}

/** The first wait after a failure; each further one is twice as long… */
const FIRST_BACKOFF_MS = 1000
/** …up to this. */
const MAX_BACKOFF_MS = 60_000
/** After a refusal that nothing but another secret can cure. */
const REFUSED_BACKOFF_MS = 600_000
/** A token this young that a server refuses is not refused for its age. */
const YOUNG_MS = 5000
/** Tokens are not fetched more often than this, however short they live. */
const MIN_INTERVAL_MS = 1000
/** The longest wait of a timer; then the clock is looked at again. */
const MAX_TIMER_MS = 3_600_000

/**
 * One access token: fetched at the start, renewed before its end, and at once where a server refuses it. However many ask,
 * one request runs at a time. A refresh token that changes is kept before it is used.
 */
export class TokenSource {
  readonly spec: TokenSpec
  /** `null` = there has been none yet. */
  accessToken: string | null = null
  /** Milliseconds since the epoch; `null` = not known. */
  expiresAt: number | null = null
  coming = false
  /** Why the last try failed; `''` = it did not. */
  failure = ''
  /** 0 = no try is due. */
  retryAt = 0
  readonly #options: TokenSourceOptions
  #refreshToken = ''
  #seed = ''
  #begun = false
  #fetchedAt = Number.NEGATIVE_INFINITY
  #lifetimeMs = 0
  #failures = 0
  #running: Promise<void> | null = null
  #cancel: () => void = () => {}
  #closed = false

  constructor(options: TokenSourceOptions) {
    this.#options = options
    this.spec = options.spec
  }

  /** Begins with what is known, and fetches what is not. Resolves when it has begun; never rejects. */
  async start(): Promise<void> {
    this.coming = true
    try {
      await this.#begin()
    } catch (error) {
      this.coming = false
      this.#failed(error)
      return
    }
    this.coming = false
    if (this.accessToken === null || this.isExpired()) void this.#fetch()
    else {
      this.#arm()
      this.#options.changed()
    }
  }

  /** After a change of files: another refresh token means to begin anew, and a failure is worth another try now. */
  async reread(): Promise<void> {
    if (this.#running !== null || this.#closed) return
    const { refreshToken } = this.spec
    try {
      const seed = refreshToken === null ? '' : seedOf(this.spec.url, await this.#options.reader().text(refreshToken))
      if (seed !== this.#seed) await this.start()
      else if (this.failure !== '') void this.#fetch()
    } catch (error) {
      this.#failed(error)
    }
  }

  isExpired(): boolean {
    return this.expiresAt !== null && this.expiresAt <= this.#options.clock.now()
  }

  /** A server refused the token, or its time is over. @returns whether a newer one is on its way */
  renew(): boolean {
    if (this.#running !== null) return true
    const now = this.#options.clock.now()
    const age = now - this.#fetchedAt
    if (this.#closed || (this.failure !== '' && this.retryAt > now)) return false
    if (this.accessToken !== null && age < (this.isExpired() ? MIN_INTERVAL_MS : YOUNG_MS)) return false
    void this.#fetch()
    return true
  }

  close(): void {
    this.#closed = true
    this.#cancel()
  }

  async #begin(): Promise<void> {
    const { spec, keep } = this.#options
    const reader = this.#options.reader()
    const configured = spec.refreshToken === null ? '' : await reader.text(spec.refreshToken)
    this.#seed = configured === '' ? '' : seedOf(spec.url, configured)
    const kept = configured === '' ? null : await keep.load(spec.name)
    if (kept?.seed === this.#seed) {
      this.#begun = true
      this.#adopt(kept)
      return
    }
    this.#begun = true
    this.#refreshToken = configured
    this.accessToken = spec.accessToken === null ? null : await reader.text(spec.accessToken)
    this.expiresAt = this.accessToken === null ? null : spec.expiresAt
  }

  #adopt({ accessToken, refreshToken, expiresAt }: KeptToken): void {
    this.accessToken = accessToken
    this.#refreshToken = refreshToken
    this.expiresAt = expiresAt
  }

  #fetch(): Promise<void> {
    this.#cancel()
    this.#running ??= this.#run().finally(() => {
      this.#running = null
    })
    return this.#running
  }

  async #run(): Promise<void> {
    this.coming = true
    this.#sayBegin()
    this.#options.changed()
    try {
      const begun = this.#begun
      if (!begun) await this.#begin()
      const isGood = !begun && this.accessToken !== null && !this.isExpired()
      if (!isGood && !(await this.#tookAnothers())) await this.#ask()
      this.coming = false
      this.failure = ''
      this.retryAt = 0
      this.#failures = 0
      this.#say('info', 'credential renewed', {})
    } catch (error) {
      this.coming = false
      this.#failed(error)
      return
    }
    if (this.#closed) return
    this.#arm()
    this.#options.changed()
  }

  /** Another process with the same store may have renewed it already: then the refresh token we know is used up. */
  async #tookAnothers(): Promise<boolean> {
    if (this.#seed === '') return false
    const kept = await this.#options.keep.load(this.spec.name)
    if (kept === null || kept.seed !== this.#seed || kept.refreshToken === this.#refreshToken) return false
    this.#adopt(kept)
    return !this.isExpired()
  }

  async #ask(): Promise<void> {
    const { spec, ask, clock } = this.#options
    const asked = clock.now()
    const answer = await ask(await tokenRequest(spec, this.#refreshToken, this.#options.reader()))
    // Counted from before the question: a token must never look younger than it is.
    this.#fetchedAt = clock.now()
    this.#lifetimeMs = answer.expiresIn === null ? 0 : Math.max(answer.expiresIn * 1000, MIN_INTERVAL_MS)
    const expiresAt = answer.expiresIn === null ? null : asked + this.#lifetimeMs
    await this.#keep(answer, expiresAt)
    this.accessToken = answer.accessToken
    this.expiresAt = expiresAt
  }

  async #keep({ accessToken, refreshToken }: TokenAnswer, expiresAt: number | null): Promise<void> {
    if (this.#seed === '') return
    this.#refreshToken = refreshToken ?? this.#refreshToken
    const token = { accessToken, refreshToken: this.#refreshToken, expiresAt, seed: this.#seed }
    try {
      await this.#options.keep.save(this.spec.name, token)
    } catch (error) {
      // It is good for as long as this process lives.
      this.#say('error', 'a renewed credential could not be kept', { error: (error as Error).message })
    }
  }

  #failed(error: unknown): void {
    const permanent = error instanceof TokenError && error.permanent
    const known = error instanceof TokenError || error instanceof SecretError
    this.failure = known ? error.message : 'failed'
    const longest = Math.min(MAX_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** this.#failures++)
    const waitMs = Math.round((permanent ? REFUSED_BACKOFF_MS : longest) * (0.5 + this.#options.random() / 2))
    this.retryAt = this.#options.clock.now() + waitMs
    // What is not ours may quote what it was given; its kind is enough to look for it.
    const detail = known || !(error instanceof Error) ? this.failure : safeText(error)
    this.#say('error', 'a credential could not be renewed', { error: detail, retry_in_ms: waitMs })
    if (this.#closed) return
    this.#after(waitMs)
    this.#options.changed()
  }

  /** Before the end, and not at the same moment in every instance. */
  #arm(): void {
    const { clock, random } = this.#options
    if (this.expiresAt === null) return
    const lifetimeMs = this.#lifetimeMs || this.expiresAt - clock.now()
    const skewMs = Math.min(this.spec.skewMs, lifetimeMs / 2) * (1 + random() / 10)
    this.#after(Math.max(MIN_INTERVAL_MS, this.expiresAt - skewMs - clock.now()))
  }

  #after(ms: number): void {
    this.#cancel()
    const wait = Math.min(ms, MAX_TIMER_MS)
    this.#cancel = this.#options.timers.after(wait, () => {
      if (wait < ms) this.#after(ms - wait)
      else void this.#fetch()
    })
  }

  #sayBegin(): void {
    const servers = this.#options.servers()
    const text =
      this.accessToken === null
        ? `Fetching the credential for ${servers}...`
        : `Credential expired for ${servers}, refreshing...`
    this.#say('info', text, {})
  }

  #say(level: 'info' | 'error', text: string, fields: Readonly<Record<string, unknown>>): void {
    const about = { name: this.spec.name, servers: this.#options.servers(), ...fields }
    channels.notice.publish({ level, text, fields: about })
  }
}

/** Errors of the store name files and keys' ids; others are only named. */
function safeText(error: Error): string {
  const { code } = error as NodeJS.ErrnoException
  return code === undefined ? error.name : `${error.name} (${code})`
}
