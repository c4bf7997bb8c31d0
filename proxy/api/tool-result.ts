import type { Json, JsonObject } from './json.ts'
import type { Message } from './message.ts'

/** Whether a value is a JSON object: neither an array nor null. */
export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * The result of a tool that did its work; `null` for a JSON-RPC error, for `isError: true`, and for a result that is not
 * the last word (`resultType` other than `complete`: `input_required`, `task`).
 */
export function finishedResult(answer: Readonly<JsonObject>): JsonObject | null {
  const { result } = answer
  if (!isJsonObject(result) || result['isError'] === true) return null
  const type = result['resultType']
  return type === undefined || type === 'complete' ? result : null
}

/** A `{ type: 'text' }` block of a result's content. */
export interface TextBlock {
  /** Position in `content`. */
  readonly index: number
  readonly text: string
}

/** The text blocks of a result, in order. What a server sends is not to be trusted: all else is passed over. */
export function textBlocks(result: Readonly<JsonObject>): TextBlock[] {
  const { content } = result
  if (!Array.isArray(content)) return []
  return content.flatMap((block, index) => {
    const isText = isJsonObject(block) && block['type'] === 'text' && typeof block['text'] === 'string'
    return isText ? [{ index, text: block['text'] as string }] : []
  })
}

/** The JSON object or array that a text holds; `undefined` where it holds none. A bare number or string is plain text. */
export function jsonOfText(text: string): Json[] | JsonObject | undefined {
  if (!/^[ \t\r\n]*[[{]/.test(text)) return undefined
  try {
    return JSON.parse(text) as Json[] | JsonObject
  } catch {
    return undefined
  }
}

/**
 * Makes an answer to `tools/list` say what tools give now: clients check results against it.
 * @param changes which tools are meant, by name
 * @param schema what takes the place of their `outputSchema`; `null` = they have none any more
 */
export function setOutputSchemas(
  message: Message,
  changes: (tool: string) => boolean,
  schema: JsonObject | null,
): void {
  const isMeant = (tool: Json): tool is JsonObject => {
    if (!isJsonObject(tool) || typeof tool['name'] !== 'string') return false
    return (schema !== null || tool['outputSchema'] !== undefined) && changes(tool['name'])
  }
  if (!toolsOf(message.json()).some(isMeant)) return
  message.edit(answer => {
    for (const tool of toolsOf(answer).filter(isMeant)) {
      if (schema === null) delete tool['outputSchema']
      else tool['outputSchema'] = schema
    }
  })
}

function toolsOf(answer: Readonly<JsonObject>): Json[] {
  const { result } = answer
  return isJsonObject(result) && Array.isArray(result['tools']) ? result['tools'] : []
}

/**
 * How many tokens a text is for a model: its UTF-8 bytes divided by four, rounded up. That is an estimate: English prose and JSON
 * have about four bytes a token, other languages and dense digits fewer.
 */
export function estimateTokens(bytes: number): number {
  return Math.ceil(bytes / 4)
}

/**
 * The bytes of a tool's result that a model reads: the text of its text blocks, and where there are none, its
 * `structuredContent` as JSON.
 */
export function readableBytes(result: Readonly<JsonObject>): number {
  const blocks = textBlocks(result)
  if (blocks.length > 0) return blocks.reduce((sum, { text }) => sum + Buffer.byteLength(text), 0)
  return result['structuredContent'] === undefined ? 0 : Buffer.byteLength(JSON.stringify(result['structuredContent']))
}
