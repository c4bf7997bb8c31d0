import { z } from 'zod'
import { duration } from '../api/units.ts'
import { isPrivateHost } from '../base/private-address.ts'
import { headerName, headerValue } from './server-schema.ts'

/** Names of secrets: no `..`, no leading slash or dot. */
export const SECRET_NAME = /^(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$/
const ENV_NAME = /^[A-Za-z_][A-Za-z0-9_]*$/
const FILE_NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/

/** What a value that leads elsewhere looks like in the file: `file:/run/secrets/x`, `Bearer secret:github`. */
export const REFERENCE = /^(?:([!-~]+) )?(file|secret):(.*)$/s

/** What holds where a token's section is silent. */
export const TOKEN_DEFAULTS = Object.freeze({ skewMs: 60_000, timeoutMs: 10_000, header: 'authorization' })

/** Texts of problems never begin with `expected`: then the value would be repeated. */
const secretValue = headerValue
  .min(1, { error: 'an empty secret: leave the key out, or check the variable it comes from' })
  .meta({ description: 'text, file:/path or secret:NAME, also behind one word as in "Bearer secret:NAME"' })

/** In variables and files, lines are fine. */
const replicaValue = z
  .string({ error: 'a secret is text: put it in quotes' })
  .min(1, { error: 'an empty secret: leave the key out, or check the variable it comes from' })

const headers = z.record(headerName, secretValue).superRefine((fields, context) => {
  const names = Object.keys(fields).map(name => name.toLowerCase())
  if (new Set(names).size === names.length) return
  context.addIssue({ code: 'custom', message: 'the same header field twice, in different spelling' })
})

/** A URL is never repeated in a message: it may hold a secret. */
function endpointProblem(text: string, allowHttp: boolean): string {
  const url = URL.parse(text)
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    return 'no URL of a token endpoint: it looks like https://auth.example.com/oauth/token'
  }
  if (url.username !== '' || url.password !== '') return 'a URL with user or password: use client_id and client_secret'
  if (url.hash !== '') return 'a URL with a fragment (#…): leave it out'
  if (url.protocol === 'https:') return ''
  if (!isPrivateHost(url.hostname)) return 'secrets must not cross the network in the clear: https:// is needed'
  return allowHttp ? '' : 'https:// is needed; for this loopback or private address, allow_http: true permits http://'
}

const positive = (): z.ZodType<number> => duration().refine(ms => ms >= 1, { error: 'expected at least 1ms' })

const common = {
  url: z.string().optional().meta({ description: 'token endpoint, https' }),
  client_id: secretValue.optional(),
  client_secret: secretValue.optional(),
  client_auth: z.enum(['basic', 'post']).optional(),
  scope: z.string().optional(),
  audience: z.string().optional(),
  resource: z.string().optional(),
  allow_http: z.boolean().default(false),
  skew: duration().default(TOKEN_DEFAULTS.skewMs).meta({ description: 'how long before its end a token is renewed' }),
  timeout: positive().default(TOKEN_DEFAULTS.timeoutMs),
  header: headerName.default(TOKEN_DEFAULTS.header),
  scheme: z
    .string()
    .regex(/^[!-~]*$/, { error: 'expected one word, or nothing' })
    .optional(),
}

const refresh = z
  .strictObject({ ...common, refresh_token: secretValue, format: z.enum(['json', 'form']).default('json') })
  .superRefine((value, context) => {
    const problem = value.url === undefined ? 'missing key "url"' : endpointProblem(value.url, value.allow_http)
    if (problem !== '')
      context.addIssue({ code: 'custom', path: value.url === undefined ? [] : ['url'], message: problem })
    if (value.client_secret !== undefined && value.client_id === undefined)
      context.addIssue({ code: 'custom', message: 'client_secret without client_id' })
  })

const oauth = z
  .strictObject({ ...common, token_url: z.string().optional(), client_id: secretValue, client_secret: secretValue })
  .superRefine((value, context) => {
    const key = value.token_url === undefined ? 'url' : 'token_url'
    const url = value.token_url ?? value.url
    if (value.token_url !== undefined && value.url !== undefined)
      context.addIssue({ code: 'custom', message: '"url" and "token_url" say the same: give one of the two' })
    const problem = url === undefined ? 'missing key "token_url"' : endpointProblem(url, value.allow_http)
    if (problem !== '') context.addIssue({ code: 'custom', path: url === undefined ? [] : [key], message: problem })
  })

const moment = z
  .string()
  .refine(text => /^\d{4}-\d{2}-\d{2}/.test(text) && !Number.isNaN(Date.parse(text)), {
    error: 'expected a time such as 2026-12-31T00:00:00Z',
  })
  .transform(text => Date.parse(text))

/** Keys by which guides write down a credential; what becomes of each stands in docs/fleet/credentials.md. */
const shown = {
  headers: headers.default({}),
  api_token: secretValue.optional(),
  token: secretValue.optional(),
  access_token: secretValue.optional(),
  bearer_token: secretValue.optional(),
  api_key: secretValue.optional(),
  username: secretValue.optional(),
  password: secretValue.optional(),
  expires_at: moment.optional(),
  refresh: refresh.optional(),
  oauth: oauth.optional(),
}

export const TOKEN_KEYS = ['api_token', 'token', 'access_token', 'bearer_token'] as const

/** A reference to `credentials.shared`. */
const use = z.string().min(1).optional().meta({ description: 'name of an entry of credentials.shared' })

type Shown = z.infer<z.ZodObject<typeof shown>>

function checkShown(value: Shown, context: z.core.$RefinementCtx): void {
  const complain = (message: string): void => void context.addIssue({ code: 'custom', message })
  const tokens = TOKEN_KEYS.filter(key => value[key] !== undefined)
  if (tokens.length > 1) complain(`${tokens.map(key => `"${key}"`).join(' and ')} say the same: give one of them`)
  if ((value.username === undefined) !== (value.password === undefined))
    complain('"username" and "password" belong together: give both')
  if (value.refresh !== undefined && value.oauth !== undefined)
    complain('"refresh" and "oauth" each give a token: give one of the two')
  if (tokens.length > 0 && value.username !== undefined)
    complain(`"${tokens[0]}" and "username" both fill Authorization: give one of the two`)
  if (tokens.length > 0 && value.oauth !== undefined)
    complain(`"${tokens[0]}" is not needed with "oauth", which fetches tokens itself: leave it out`)
}

const client = z.strictObject({ use, ...shown }).superRefine(checkShown)

const entryMapping = z
  .strictObject({
    use,
    ...shown,
    connection_string: replicaValue.optional(),
    env: z
      .record(z.string().regex(ENV_NAME, { error: 'expected the name of an environment variable' }), replicaValue)
      .default({}),
    files: z
      .record(
        z.string().regex(FILE_NAME, { error: 'expected the name of a file, of letters, digits and . _ -' }),
        replicaValue,
      )
      .default({}),
    clients: z.record(z.string().min(1), client).default({}),
  })
  .superRefine(checkShown)

const sharedMapping = z
  .strictObject({ ...shown, env: entryMapping.shape.env, files: entryMapping.shape.files })
  .superRefine(checkShown)

/** A union of one, so that the list of keys in the documentation has it as one. */
const shared = z.union([sharedMapping])

/** A server's credential; a bare text names an entry of `shared`. */
const entry = z.union([z.string().min(1), entryMapping, z.null()])

/** Names that mean something else than a server. */
export const RESERVED = ['encryption', 'store_file', 'search_list', 'shared'] as const

export const credentialsSchema = z
  .strictObject({
    encryption: z
      .strictObject({ enabled: z.boolean().default(true), key_file: z.string().min(1).optional() })
      .prefault({}),
    store_file: z.string().min(1).optional(),
    search_list: z.array(z.string().min(1)).min(1).default(['store', '/run/secrets']),
    shared: z
      .record(z.string().regex(SECRET_NAME, { error: 'expected a name of letters, digits and . _ / -' }), shared)
      .default({}),
  })
  .catchall(entry)

export type RawCredentials = z.infer<typeof credentialsSchema>
export type RawEntry = z.infer<typeof entryMapping>
export type RawClient = z.infer<typeof client>
export type RawShown = Shown
export type RawShared = z.infer<typeof sharedMapping>
export type RawRefresh = z.infer<typeof refresh>
export type RawOauth = z.infer<typeof oauth>
