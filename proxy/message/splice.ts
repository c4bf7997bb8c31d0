import type { Json } from '../api/index.ts'

export function splice(source: Buffer, before: Json, after: Json): Buffer {
  return before === after ? source : Buffer.from(JSON.stringify(after))
}
