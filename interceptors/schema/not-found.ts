import { brief } from './check/json.ts'
import { similar } from './check/similar.ts'

/** Most tools that are named. */
const MAX_NAMED = 50

/**
 * The text of R053: similar names first, then the others in order.
 * @param available names of the tools that the client may call, and no others
 */
export function notFoundText(server: string, tool: string, available: readonly string[]): string {
  const near = similar(tool, available)
  const others = available.filter(name => !near.includes(name)).sort()
  const named = [...near, ...others].slice(0, MAX_NAMED).map(name => `${server}.${brief(name, 100)}`)
  if (available.length > MAX_NAMED) named.push(`… and ${available.length - MAX_NAMED} more`)
  const list = named.length === 0 ? 'none' : named.join(', ')
  return `Tool not found: ${server}.${brief(tool, 200)}\nAvailable tools: ${list}`
}
