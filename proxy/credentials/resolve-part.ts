import { SecretError, type SecretReader } from './read-secret.ts'
import type { CredentialSpec, HeaderSpec, ReplicaValueSpec } from './spec.ts'

/** Largest value of a header field, in characters. */
const MAX_FIELD = 16_384
// RFC 9110, 5.5: visible characters, space and tab inside, obs-text.
const FIELD_VALUE = /^[\t\x20-\x7e\x80-\xff]+$/

/** Header fields with their values, or why there are none. */
export interface ResolvedFields {
  /** Flat. */
  readonly fields: readonly string[]
  /** For the log: what is missing; `''` = nothing is. */
  readonly problem: string
}

export async function resolveFields(spec: CredentialSpec, reader: SecretReader): Promise<ResolvedFields> {
  const fields: string[] = []
  for (const header of spec.headers) {
    try {
      fields.push(header.name, checked(await fieldValue(header, reader), header.name))
    } catch (error) {
      return { fields: [], problem: textOf(error) }
    }
  }
  return { fields, problem: '' }
}

async function fieldValue({ value, user }: HeaderSpec, reader: SecretReader): Promise<string> {
  if (user === null) return reader.text(value)
  const name = await reader.text(user)
  // RFC 7617, 2: the first colon ends the name.
  if (name.includes(':')) throw new SecretError('a user name with a colon cannot be sent as Basic')
  return `Basic ${Buffer.from(`${name}:${await reader.text(value)}`).toString('base64')}`
}

function checked(value: string, name: string): string {
  if (value.length > MAX_FIELD)
    throw new SecretError(`${name}: ${value.length} characters, expected at most ${MAX_FIELD}`)
  if (!FIELD_VALUE.test(value)) {
    throw new SecretError(`${name}: a character that a header field cannot hold, such as a line break`)
  }
  return value
}

/** Variables and files with their values, or why there are none. */
export interface ResolvedValues {
  readonly values: ReadonlyMap<string, Buffer>
  readonly problem: string
}

/** @param kind text loses the line break at its end */
export async function resolveValues(
  specs: readonly ReplicaValueSpec[],
  reader: SecretReader,
  kind: 'text' | 'bytes',
): Promise<ResolvedValues> {
  const values = new Map<string, Buffer>()
  for (const { name, value } of specs) {
    try {
      values.set(name, kind === 'bytes' ? await reader.bytes(value) : Buffer.from(await reader.text(value)))
    } catch (error) {
      return { values: new Map(), problem: `${name}: ${textOf(error)}` }
    }
  }
  return { values, problem: '' }
}

function textOf(error: unknown): string {
  if (error instanceof SecretError) return error.message
  throw error
}
