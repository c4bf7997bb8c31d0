import type { Access, Json, Message } from '#api'

/**
 * Takes the tools that may not be called out of an answer to `tools/list`; what stays keeps its source text. An answer
 * that is an error, or lists nothing to hide, stays as it came.
 */
export function hideTools(message: Message, access: Access): void {
  const tools = toolsOf(message.json())
  if (tools === null || tools.every(tool => mayStay(tool, access))) return
  message.edit(json => {
    const list = toolsOf(json)
    // From the end, so that positions before stay what they are.
    for (let i = (list?.length ?? 0) - 1; i >= 0; i--) {
      if (!mayStay(list?.[i], access)) list?.splice(i, 1)
    }
  })
}

function toolsOf(json: { readonly [key: string]: Json }): Json[] | null {
  const result = json.result
  if (typeof result !== 'object' || result === null || Array.isArray(result)) return null
  return Array.isArray(result.tools) ? result.tools : null
}

/** What has no name cannot be called, and is not shown. */
function mayStay(tool: Json | undefined, access: Access): boolean {
  if (typeof tool !== 'object' || tool === null || Array.isArray(tool)) return false
  return typeof tool.name === 'string' && access.mayCall(tool.name)
}
