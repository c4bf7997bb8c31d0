/** What one client shows to one server, as it is now. Whoever keeps it changes it in place. */
export interface ShownCredential {
  /** Header fields, flat, lower-case names; `null` = there is nothing to show, and nothing may be sent without it. */
  readonly fields: readonly string[] | null
  /** For the audit trail, flat: the name of a secret, what it is used for. */
  readonly uses: readonly string[]
  /** Another one for each change of `fields`. */
  readonly version: number
  /** When the fields become worthless, milliseconds since the epoch; `Infinity` = never. */
  readonly expiresAt: number
  /** Whether a newer one can be had. */
  readonly renewable: boolean
  /** Whether a newer one is on its way. */
  readonly coming: boolean
  /** Why there is none, one sentence without secrets. */
  readonly reason: string
  /** When another try makes sense, milliseconds since the epoch; 0 = unknown. */
  readonly retryAt: number
  /**
   * Asks for a newer one, because the server refused `version` or its time is over. Several do so at once: one is fetched.
   * @returns whether it is worth waiting for
   */
  renew(version: number): boolean
  /** Tells `waiter` once, when what is on its way has come, or will not. @returns false = too many wait already */
  join(waiter: CredentialWaiter): boolean
  leave(waiter: CredentialWaiter): void
}

export interface CredentialWaiter {
  credentialSettled(): void
}

/** What clients show to one server. */
export interface CredentialSource {
  /** @returns `null` = nothing is configured for it: requests go as they are */
  find(client: string): ShownCredential | null
  /** Whether requests of `client` carry a configured `Authorization`, so that its own one counts for nothing. */
  authorizes(client: string): boolean
}
