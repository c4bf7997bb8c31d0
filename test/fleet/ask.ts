import { modern } from '../helpers/mcp-messages.ts'

/** What `child.ts` says about itself. */
export interface Said {
  readonly pid: number
  readonly version: string
  readonly env: readonly string[]
}

/** Calls the tool `work` of `child.ts`. @throws Error when the answer is no good one */
export async function post(url: string, args: { readonly ms?: number }): Promise<Said> {
  const { headers, body } = modern(1, 'tools/call', { name: 'work', arguments: args })
  const response = await fetch(url, { method: 'POST', headers, body })
  const text = await response.text()
  const { result } = JSON.parse(text)
  if (result === undefined) throw new Error(`HTTP ${response.status}: ${text}`)
  return JSON.parse(result.content[0].text)
}
