import { z } from 'zod'

/** What a token endpoint gave (RFC 6749, 5.1). */
export interface TokenAnswer {
  readonly accessToken: string
  /** `null` = the one that was sent stays good. */
  readonly refreshToken: string | null
  /** Lifetime in seconds; `null` = not told. */
  readonly expiresIn: number | null
}

/** Why there is no token. The message holds nothing that was sent, and of what came only a code that OAuth defines. */
export class TokenError extends Error {
  /** Whether asking again cannot help until somebody changes something. */
  readonly permanent: boolean

  constructor(message: string, permanent = false) {
    super(message)
    this.name = 'TokenError'
    this.permanent = permanent
  }
}

/** RFC 6749, 5.2. Other words are not repeated: they are the endpoint's own. */
const OAUTH_CODES = new Set([
  'invalid_request',
  'invalid_client',
  'invalid_grant',
  'unauthorized_client',
  'unsupported_grant_type',
  'invalid_scope',
  'invalid_target',
])

// What a header field can hold, without spaces (RFC 6750, 2.1, is narrower; some issuers are not).
const TOKEN = /^[!-~]+$/
/** Ten years: beyond that, a number is not a lifetime in seconds. */
const MAX_SECONDS = 315_360_000

const seconds = z.number().min(0).max(MAX_SECONDS)
const digits = z
  .string()
  .regex(/^\d{1,9}$/)
  .transform(Number)
const answer = z.object({
  access_token: z.string().regex(TOKEN).max(16_384),
  refresh_token: z.string().min(1).max(16_384).nullish(),
  expires_in: z.union([seconds, digits, z.null()]).optional(),
  token_type: z.string().optional(),
})

/** Reads the answer of a token endpoint. @throws TokenError */
export function readTokenAnswer(status: number, text: string): TokenAnswer {
  const value = parse(text)
  if (status < 200 || status > 299) throw refused(status, value)
  const parsed = answer.safeParse(value)
  if (!parsed.success) {
    const keys = [...new Set(parsed.error.issues.map(issue => String(issue.path[0] ?? 'the whole of it')))]
    throw new TokenError(`its answer is no token: ${keys.join(', ')}`)
  }
  const {
    access_token: accessToken,
    refresh_token: refreshToken,
    expires_in: expiresIn,
    token_type: type,
  } = parsed.data
  if (type !== undefined && /^(?:dpop|mac|n_a)$/i.test(type)) {
    throw new TokenError('its token is of a type that cannot be shown as it is (DPoP, MAC)', true)
  }
  return { accessToken, refreshToken: refreshToken ?? null, expiresIn: expiresIn ?? null }
}

function refused(status: number, value: unknown): TokenError {
  if (status >= 300 && status < 400) return new TokenError(`a redirect (HTTP ${status}), which is not followed`, true)
  const code = (value as { error?: unknown } | null)?.error
  const known = typeof code === 'string' && OAUTH_CODES.has(code)
  // A refusal that OAuth knows is about what was sent; anything else may pass.
  return new TokenError(known ? `refused: ${code} (HTTP ${status})` : `HTTP ${status}`, known || status === 401)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
