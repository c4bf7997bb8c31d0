import { finishedResult, type Json, type JsonObject, jsonOfText, type Message, textBlocks } from '#api'
import { type Outputs, printed, single } from './filter.ts'

/** Where in a result the JSON is. */
export type Source = 'structured' | 'text' | 'both'

/** The JSON of a result that a filter works on. */
export interface Found {
  readonly inputs: readonly Json[]
  /** For each input: the position of its text block, or -1 for `structuredContent`. */
  readonly places: readonly number[]
}

/** @returns `null` where the message is no result that a tool finished */
export function findInputs(message: Message, source: Source): Found | null {
  const result = finishedResult(message.json())
  if (result === null) return null
  const structured = result['structuredContent']
  if (source !== 'text' && structured !== undefined) return { inputs: [structured], places: [-1] }
  return source === 'structured' ? { inputs: [], places: [] } : jsonBlocks(result)
}

function jsonBlocks(result: JsonObject): Found {
  const inputs: Json[] = []
  const places: number[] = []
  for (const { index, text } of textBlocks(result)) {
    const value = jsonOfText(text)
    if (value === undefined) continue
    inputs.push(value)
    places.push(index)
  }
  return { inputs, places }
}

/** Puts what the filter gave in place of what it was given. */
export function placeOutputs(
  message: Message,
  found: Found,
  outputs: readonly Outputs[],
  source: Source,
  raw: boolean,
): void {
  const [first = []] = outputs
  message.edit(answer => {
    const result = answer['result'] as JsonObject
    if (found.places[0] !== -1)
      placeTexts(result, new Map(found.places.map((place, i) => [place, outputs[i] ?? []])), raw)
    else if (raw) {
      delete result['structuredContent']
      placeCopy(result, printed(first, true), true)
    } else {
      placeStructured(result, first)
      if (source === 'both') placeCopy(result, printed(first, false), false)
    }
  })
}

/** A filter that gives nothing leaves no block behind. */
function placeTexts(result: JsonObject, texts: ReadonlyMap<number, Outputs>, raw: boolean): void {
  result['content'] = (result['content'] as Json[]).flatMap((block, index) => {
    const outputs = texts.get(index)
    if (outputs === undefined) return [block]
    return outputs.length === 0 ? [] : [{ ...(block as JsonObject), text: printed(outputs, raw) }]
  })
}

/** Up to 2025-11-25 `structuredContent` is an object (Tools, "Structured Content"): anything else becomes `{ result: … }`. */
function placeStructured(result: JsonObject, outputs: Outputs): void {
  if (outputs.length === 0) delete result['structuredContent']
  else {
    const value = single(outputs)
    result['structuredContent'] =
      typeof value === 'object' && value !== null && !Array.isArray(value) ? value : { result: value }
  }
}

/**
 * The first text block that holds JSON says what `structuredContent` says; further ones say parts of what was, and go.
 * @param needed whether a block is made where there is none
 */
function placeCopy(result: JsonObject, text: string, needed: boolean): void {
  const { places } = jsonBlocks(result)
  const [first] = places
  const content = Array.isArray(result['content']) ? result['content'] : []
  if (first === undefined) {
    if (needed && text !== '') result['content'] = [{ type: 'text', text }, ...content]
    return
  }
  result['content'] = content.flatMap((block, index) => {
    if (!places.includes(index)) return [block]
    return index === first && text !== '' ? [{ ...(block as JsonObject), text }] : []
  })
}
