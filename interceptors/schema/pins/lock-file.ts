import { readFileSync } from 'node:fs'
import { parseDocument, stringify } from 'yaml'
import { type JsonObject, z } from '#api'
import { digestOf, pinned } from './digest.ts'

/** One pinned tool. */
export interface Pin {
  readonly digest: string
  readonly tool: JsonObject
}

/** Pinned tools by server, then by name. */
export type Lock = ReadonlyMap<string, ReadonlyMap<string, Pin>>

const MAX_LOCK_BYTES = 64 * 1024 * 1024

const entry = z.strictObject({ digest: z.string(), tool: z.looseObject({ name: z.string() }) })
const lockSchema = z.strictObject({
  version: z.literal(1),
  servers: z.record(z.string(), z.array(entry)),
})

const HEADER = `# Tools as they were when somebody looked at them. Written by "sluice tools pin"; compare with "sluice tools diff".
# Read this file before you trust it: what is in it is what models are told.
`

/** The text of a lock file; the same tools give the same text. */
export function writeLock(servers: ReadonlyMap<string, readonly JsonObject[]>): string {
  const value: Record<string, unknown> = {}
  for (const [server, tools] of [...servers].sort(byName)) {
    const sorted = tools.toSorted((a, b) => (String(a['name']) < String(b['name']) ? -1 : 1))
    value[server] = sorted.map(tool => ({ digest: digestOf(tool), tool: pinned(tool) }))
  }
  return HEADER + stringify({ version: 1, servers: value }, { aliasDuplicateObjects: false, lineWidth: 100 })
}

/** @throws Error that names the file and what is wrong with it */
export function readLock(file: string): Lock {
  return parseLock(readText(file), file)
}

export function parseLock(text: string, file: string): Lock {
  const document = parseDocument(text)
  const [problem] = document.errors
  if (problem !== undefined) throw new Error(`${file}: ${problem.message.split('\n')[0]}`)
  const parsed = lockSchema.safeParse(document.toJS({ maxAliasCount: 0 }))
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    throw new Error(`${file}: ${issue?.path.join('.')}: ${issue?.message}; write it with "sluice tools pin"`)
  }
  return new Map(Object.entries(parsed.data.servers).map(([server, pins]) => [server, byTool(pins, server, file)]))
}

function byTool(pins: readonly z.infer<typeof entry>[], server: string, file: string): ReadonlyMap<string, Pin> {
  const found = new Map<string, Pin>()
  for (const { digest, tool } of pins) {
    const place = `${file}: ${server}.${tool.name}`
    if (found.has(tool.name)) throw new Error(`${place}: pinned twice`)
    if (digestOf(tool as JsonObject) !== digest) {
      throw new Error(`${place}: its digest is not that of the tool below it; write the file with "sluice tools pin"`)
    }
    found.set(tool.name, { digest, tool: tool as JsonObject })
  }
  return found
}

function readText(file: string): string {
  let bytes: Buffer
  try {
    bytes = readFileSync(file)
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message
    throw new Error(`${file}: ${why}; write it with "sluice tools pin"`)
  }
  if (bytes.length > MAX_LOCK_BYTES) throw new Error(`${file}: larger than ${MAX_LOCK_BYTES} bytes`)
  return bytes.toString()
}

function byName([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}
