import { type LookupAddress, lookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import { isPrivateAddress } from '../../base/private-address.ts'
import { undici } from '../../base/undici.ts'
import { readTokenAnswer, type TokenAnswer, TokenError } from './token-answer.ts'

/** Largest answer of a token endpoint, in bytes. */
const MAX_ANSWER_BYTES = 64 * 1024
const MAX_HEADER_BYTES = 16 * 1024

/** One request to a token endpoint. All of it may be secret. */
export interface TokenRequest {
  readonly url: string
  readonly format: 'json' | 'form'
  /** What to ask for, and what shows who asks. */
  readonly fields: Readonly<Record<string, string>>
  /** For `Authorization`; `''` = none. */
  readonly authorization: string
  readonly timeoutMs: number
}

/** Asks a token endpoint. @throws TokenError */
export type AskEndpoint = (ask: TokenRequest) => Promise<TokenAnswer>

/**
 * Asks by HTTP: one connection for one request, no redirect followed, size and time limited. Over plain HTTP only private
 * addresses are connected to, whatever the name resolves to.
 */
export const askEndpoint: AskEndpoint = async ask => {
  const { url, format, fields, timeoutMs } = ask
  const { Agent, request } = undici()
  const agent = new Agent({
    connect: { timeout: timeoutMs, ...(url.startsWith('http:') && { lookup: lookupPrivate }) },
    maxHeaderSize: MAX_HEADER_BYTES,
    maxResponseSize: MAX_ANSWER_BYTES,
    pipelining: 0,
  })
  try {
    const { statusCode, body } = await request(url, {
      method: 'POST',
      headers: {
        accept: 'application/json',
        'content-type': format === 'json' ? 'application/json' : 'application/x-www-form-urlencoded',
        ...(ask.authorization !== '' && { authorization: ask.authorization }),
      },
      body: format === 'json' ? JSON.stringify(fields) : new URLSearchParams(fields).toString(),
      dispatcher: agent,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      signal: AbortSignal.timeout(timeoutMs),
    })
    return readTokenAnswer(statusCode, await body.text())
  } catch (error) {
    throw error instanceof TokenError ? error : failure(error, timeoutMs)
  } finally {
    await agent.destroy()
  }
}

/** Says what went wrong without its details: those could quote what was sent. */
function failure(error: unknown, timeoutMs: number): TokenError {
  const { code = '', name = '' } = error as { code?: string; name?: string }
  if (name === 'TimeoutError' || /TIMEOUT/.test(code)) return new TokenError(`no answer within ${timeoutMs} ms`)
  if (code === 'UND_ERR_RES_EXCEEDED_MAX_SIZE') return new TokenError('the answer is too large')
  if (code === NOT_PRIVATE) return new TokenError('its name leads to a public address: https:// is needed')
  return new TokenError(/^[A-Z][A-Z0-9_]{2,60}$/.test(code) ? `cannot be reached (${code})` : 'cannot be reached')
}

const NOT_PRIVATE = 'ERR_NOT_PRIVATE'

/** Resolves a name to its private addresses; a public one fails all of it. */
const lookupPrivate: LookupFunction = (hostname, options, done) => {
  lookup(hostname, { ...options, all: true }, (error, addresses: LookupAddress[]) => {
    if (error !== null) done(error, '', 0)
    else if (!addresses.every(({ address }) => isPrivateAddress(address))) {
      done(Object.assign(new Error('a public address'), { code: NOT_PRIVATE }), '', 0)
    } else if (options.all === true) done(null, addresses)
    else done(null, addresses[0]?.address ?? '', addresses[0]?.family ?? 0)
  })
}
