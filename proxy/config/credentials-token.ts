import type { SecretRef, TokenSpec } from '../credentials/spec.ts'
import type { RawShown } from './credentials-schema.ts'

/**
 * The token that `refresh` or `oauth` describes; `null` where there is neither.
 * @param name of the credential
 * @param first a token to begin with
 */
export function tokenOf(
  raw: RawShown,
  name: string,
  first: SecretRef | null,
  ref: (keys: string[], value: string) => SecretRef,
): TokenSpec | null {
  const grant = raw.oauth === undefined ? 'refresh' : 'oauth'
  const given = raw.oauth ?? raw.refresh
  if (given === undefined) return null
  const optional = (key: 'client_id' | 'client_secret'): SecretRef | null =>
    given[key] === undefined ? null : ref([grant, key], given[key])
  const header = given.header.toLowerCase()
  return {
    name,
    grant: grant === 'oauth' ? 'client_credentials' : 'refresh_token',
    url: raw.oauth?.token_url ?? given.url ?? '',
    allowHttp: given.allow_http,
    format: raw.oauth === undefined ? (raw.refresh?.format ?? 'json') : 'form',
    clientAuth: given.client_id === undefined ? 'none' : (given.client_auth ?? (grant === 'oauth' ? 'basic' : 'post')),
    clientId: optional('client_id'),
    clientSecret: optional('client_secret'),
    refreshToken: raw.refresh === undefined ? null : ref([grant, 'refresh_token'], raw.refresh.refresh_token),
    accessToken: first,
    expiresAt: raw.expires_at ?? null,
    scope: given.scope ?? '',
    audience: given.audience ?? '',
    resource: given.resource ?? '',
    skewMs: given.skew,
    timeoutMs: given.timeout,
    header,
    scheme: given.scheme ?? (header === 'authorization' ? 'Bearer' : ''),
  }
}
