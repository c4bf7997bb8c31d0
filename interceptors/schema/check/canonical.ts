import type { Json } from '#api'

/** JSON text that is the same for the same value: members in order of their names (RFC 8785, for what `JSON.parse` gives). */
export function canonical(value: Json): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  const members = Object.keys(value).sort()
  return `{${members.map(name => `${JSON.stringify(name)}:${canonical(value[name] as Json)}`).join(',')}}`
}
