import type { ResolvedFields } from './resolve-part.ts'
import type { ShownValues } from './shown.ts'
import type { CredentialSpec } from './spec.ts'
import type { TokenSource } from './token/token-source.ts'

const AUTHORIZATION = 'authorization'

/** What is shown, but for its version: that is the keeper's to count. */
export function valuesOf(
  server: string,
  client: string,
  spec: CredentialSpec,
  resolved: ResolvedFields,
  token: TokenSource | null,
  now: number,
): Omit<ShownValues, 'version'> {
  const fields = fieldsOf(resolved, token)
  const expiresAt = token === null ? spec.expiresAt : token.expiresAt
  const over = expiresAt !== null && expiresAt <= now
  return {
    server,
    client,
    fields,
    uses: usesOf(spec),
    expiresAt,
    renewable: token !== null && resolved.problem === '',
    coming: token?.coming === true && resolved.problem === '',
    reason: reasonOf(server, fields !== null, over, token),
    retryAt: token?.retryAt ?? 0,
    authorizes: token?.spec.header === AUTHORIZATION || spec.headers.some(({ name }) => name === AUTHORIZATION),
  }
}

function fieldsOf({ fields, problem }: ResolvedFields, token: TokenSource | null): string[] | null {
  if (problem !== '') return null
  if (token === null) return [...fields]
  if (token.accessToken === null) return null
  const { header, scheme } = token.spec
  return [...fields, header, scheme === '' ? token.accessToken : `${scheme} ${token.accessToken}`]
}

/** Clients read this: causes, which name files and places, are for the log. */
function reasonOf(server: string, has: boolean, over: boolean, token: TokenSource | null): string {
  if (has && over) {
    return token === null
      ? `Credential expired for ${server}`
      : `Credential expired for ${server}, and it could not be renewed`
  }
  return has ? '' : `No credential found for ${server}`
}

/** One line a secret, however many fields it fills. */
function usesOf({ headers, token }: CredentialSpec): string[] {
  const names = new Map<string, string[]>()
  const add = (secret: string, header: string): void => {
    names.set(secret, [...(names.get(secret) ?? []), header])
  }
  for (const { secret, name } of headers) add(secret, name)
  if (token !== null) add(token.name, token.header)
  return [...names].flatMap(([secret, fields]) => [secret, `upstream header ${fields.join(', ')}`])
}
