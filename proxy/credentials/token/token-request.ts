import type { SecretReader } from '../read-secret.ts'
import type { TokenSpec } from '../spec.ts'
import type { TokenRequest } from './token-endpoint.ts'

/**
 * What is sent for a token: a `refresh_token` grant (RFC 6749, 6) or `client_credentials` (4.4).
 * @param refreshToken the one to use; `''` for client credentials
 * @throws SecretError when what shows who asks cannot be had
 */
export async function tokenRequest(spec: TokenSpec, refreshToken: string, reader: SecretReader): Promise<TokenRequest> {
  const { url, format, clientAuth, scope, audience, resource, timeoutMs } = spec
  const id = spec.clientId === null ? '' : await reader.text(spec.clientId)
  const secret = spec.clientSecret === null ? '' : await reader.text(spec.clientSecret)
  const given = {
    grant_type: spec.grant,
    refresh_token: refreshToken,
    scope,
    audience,
    resource,
    client_id: clientAuth === 'post' ? id : '',
    client_secret: clientAuth === 'post' ? secret : '',
  }
  const fields = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== ''))
  return { url, format, fields, authorization: clientAuth === 'basic' ? basic(id, secret) : '', timeoutMs }
}

/** RFC 6749, 2.3.1: both are form-encoded before they are put together. */
function basic(id: string, secret: string): string {
  const encode = (text: string): string => encodeURIComponent(text).replace(/%20/g, '+')
  return `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`
}
