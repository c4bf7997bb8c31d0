import { systemClock } from '../../base/clock.ts'
import { SECRET_NAME } from '../../config/credentials-schema.ts'
import { SecretStore } from '../../credentials/store/secret-store.ts'
import { TOKEN_PREFIX } from '../../credentials/token/token-keep.ts'
import { count, FAILED, OK } from '../failure.ts'
import { UsageError } from '../usage-error.ts'
import { type PlaceFlags, type StorePlace, storePlace } from './places.ts'
import { type Input, readValue } from './read-value.ts'

type Say = (text: string) => void

/** @throws UsageError for a bad name or an empty value, Error for a key that does not fit */
export async function secretSet(
  name: string,
  flags: PlaceFlags & { readonly raw?: boolean },
  input: Input,
  output: NodeJS.WritableStream,
): Promise<void> {
  checkName(name)
  const { store, place } = open(flags)
  const given = await readValue(`Value of "${name}" (not shown): `, input, output)
  const value = flags.raw === true ? given : withoutLineBreak(given)
  if (value.length === 0) throw new UsageError('an empty value: nothing was set')
  const version = await store.set(name, value)
  output.write(`"${name}" is kept in ${place.file} (version ${version}); use it as secret:${name}\n`)
}

/** A table, or JSON: never values. */
export async function secretList(flags: PlaceFlags & { readonly json?: boolean }): Promise<string> {
  const { store, place } = open(flags)
  const names = await store.list()
  if (flags.json === true) return `${JSON.stringify(names, null, 2)}\n`
  if (names.length === 0) return `no secrets in ${place.file}\n`
  const rows = names.map(({ name, version, updated }) => [name, String(version), updated])
  const table = [['NAME', 'VERSION', 'UPDATED'], ...rows]
  const widths = [0, 1].map(column => Math.max(...table.map(row => (row[column] as string).length)))
  return table.map(row => `${row.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join('  ')}\n`).join('')
}

/** @returns exit code: 1 when one of them was not there */
export async function secretRemove(names: readonly string[], flags: PlaceFlags, say: Say): Promise<number> {
  const { store, place } = open(flags)
  let code = OK
  for (const name of names) {
    const gone = await store.remove(name)
    say(gone ? `"${name}" is removed\n` : `no secret "${name}" in ${place.file}\n`)
    if (!gone) code = FAILED
  }
  return code
}

export async function secretRotate(flags: PlaceFlags, say: Say): Promise<void> {
  const { store, place } = open(flags)
  const number = await store.rotateKey()
  say(`${place.keyFile} is new; ${count(number, 'secret')} encrypted anew. Backups of the store need the old key.\n`)
}

function open(flags: PlaceFlags): { store: SecretStore; place: StorePlace } {
  const place = storePlace(flags, process.env)
  return { store: new SecretStore({ ...place, clock: systemClock }), place }
}

function checkName(name: string): void {
  if (name.startsWith(TOKEN_PREFIX)) {
    throw new UsageError(`"${name}": names that begin with ${TOKEN_PREFIX} are for tokens that the proxy renews itself`)
  }
  if (!SECRET_NAME.test(name)) {
    throw new UsageError(`name "${name}": expected letters, digits and . _ / -, like "github" or "prod/github"`)
  }
}

function withoutLineBreak(value: Buffer): Buffer {
  if (value.at(-1) !== 0x0a) return value
  return value.subarray(0, value.at(-2) === 0x0d ? -2 : -1)
}
