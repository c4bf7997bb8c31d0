import type { Secret } from '../base/secret.ts'

/** A value that is a secret, or says where one is. */
export type SecretRef =
  | { readonly from: 'text'; readonly prefix: string; readonly text: Secret }
  /** The content of a file, absolute path. */
  | { readonly from: 'file'; readonly prefix: string; readonly path: string }
  /** Looked up by name, in the places of `CredentialsSpec.search`. */
  | { readonly from: 'secret'; readonly prefix: string; readonly name: string }

/** A header field of requests to a server. */
export interface HeaderSpec {
  /** Lower-case. */
  readonly name: string
  readonly value: SecretRef
  /** Not `null`: the field is `Basic`, of this user and `value` as password (RFC 7617). */
  readonly user: SecretRef | null
  /** The credential it belongs to, as the audit trail names it. */
  readonly secret: string
}

/** A variable or a file of the replicas that Sluice starts. */
export interface ReplicaValueSpec {
  readonly name: string
  readonly value: SecretRef
  readonly secret: string
}

/** An access token that is fetched, and fetched again before it expires. */
export interface TokenSpec {
  /** Names the credential; servers whose token has the same name share one. */
  readonly name: string
  readonly grant: 'refresh_token' | 'client_credentials'
  readonly url: string
  /** Whether `http:` is fine, to a loopback or private address. */
  readonly allowHttp: boolean
  /** How the request is written. */
  readonly format: 'json' | 'form'
  /** How the client shows who it is; `none` where it has no id. */
  readonly clientAuth: 'basic' | 'post' | 'none'
  readonly clientId: SecretRef | null
  readonly clientSecret: SecretRef | null
  /** The first one; later ones come from the endpoint. */
  readonly refreshToken: SecretRef | null
  /** A token to begin with; `null` = one is fetched at start. */
  readonly accessToken: SecretRef | null
  /** When that expires, milliseconds since the epoch; `null` = unknown. */
  readonly expiresAt: number | null
  /** `''` = not sent. */
  readonly scope: string
  readonly audience: string
  readonly resource: string
  /** How long before its end a token is renewed. */
  readonly skewMs: number
  /** For one request to the endpoint, all of it. */
  readonly timeoutMs: number
  /** The field the token goes into, lower-case, and the word before it (`''` = none). */
  readonly header: string
  readonly scheme: string
}

/** What one client, or everybody, shows to one server. */
export interface CredentialSpec {
  readonly headers: readonly HeaderSpec[]
  readonly token: TokenSpec | null
  /** After this moment the header fields are worthless, milliseconds since the epoch; `null` = never. */
  readonly expiresAt: number | null
}

export interface ServerCredentialSpec {
  readonly server: string
  readonly everybody: CredentialSpec
  /** In place of `everybody`, by client. Complete: what the client's own part does not say is taken from there. */
  readonly clients: ReadonlyMap<string, CredentialSpec>
  readonly env: readonly ReplicaValueSpec[]
  readonly files: readonly ReplicaValueSpec[]
}

/** `credentials` of sluice.yaml, resolved: every path absolute, every short form written out. */
export interface CredentialsSpec {
  /** Whether there is an encrypted store. */
  readonly encryption: boolean
  readonly keyFile: string
  readonly storeFile: string
  /** Where `secret:NAME` is looked for, in order: `store`, a folder of files, or a file of `NAME=value` lines. */
  readonly search: readonly string[]
  readonly servers: ReadonlyMap<string, ServerCredentialSpec>
}
