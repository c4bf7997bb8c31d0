import { z } from 'zod'
import { readPrivately, replacePrivately } from '../../base/private-file.ts'
import type { SealedEntry } from './seal.ts'

/** Largest store, in bytes. */
const MAX_FILE_BYTES = 16 * 1024 * 1024
const FORMAT = 'sluice-secrets'
const VERSION = 1

/** The store as its file holds it. */
export interface StoreFile {
  /** Of the key that opens it. */
  readonly keyId: string
  readonly entries: ReadonlyMap<string, SealedEntry>
}

const fileSchema = z.object({
  format: z.literal(FORMAT),
  version: z.number(),
  key_id: z.string(),
  entries: z.record(
    z.string(),
    z.object({ version: z.number().int(), updated: z.string(), nonce: z.string(), data: z.string() }),
  ),
})

/**
 * @returns `null` when there is no such file
 * @throws Error that names file and remedy when others may read it, or it is no store, or one of a later version
 */
export async function readStore(file: string): Promise<StoreFile | null> {
  let text: string
  try {
    text = (await readPrivately(file, MAX_FILE_BYTES)).toString()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT') return null
    if (code !== undefined) throw new Error(`${file}: the store cannot be read (${code})`, { cause: error })
    throw error
  }
  return parseStore(text, file)
}

function parseStore(text: string, file: string): StoreFile {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    value = null
  }
  const parsed = fileSchema.safeParse(value)
  if (!parsed.success) throw new Error(`${file}: no store of secrets, or a damaged one; restore it from a backup`)
  const { version, key_id: keyId, entries } = parsed.data
  if (version !== VERSION) throw new Error(`${file}: format version ${version}, this Sluice knows ${VERSION}`)
  return { keyId, entries: new Map(Object.entries(entries)) }
}

/** Whole or not at all, mode 0600, names in order. */
export function writeStore(file: string, { keyId, entries }: StoreFile): Promise<void> {
  const sorted = [...entries].sort(([a], [b]) => (a < b ? -1 : 1))
  const content = { format: FORMAT, version: VERSION, key_id: keyId, entries: Object.fromEntries(sorted) }
  return replacePrivately(file, `${JSON.stringify(content, null, 2)}\n`)
}
