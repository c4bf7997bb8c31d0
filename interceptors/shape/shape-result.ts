import type { Json, JsonObject } from '#api'
import { byteLength, cutText } from './cut-text.ts'
import { Cuts } from './cuts.ts'
import { containerIn, isRecord } from './json.ts'
import { outline } from './outline.ts'
import { reduce } from './reduce.ts'
import type { Rule } from './rules.ts'

/** Something as it was before it was cut. */
export interface Original {
  readonly label: string
  readonly mime: 'text/plain' | 'application/json'
  readonly text: string
}

/** What became of a result. */
export interface Shaped {
  /** What was cut, a sentence for each kind of thing; `[]` where only white space went. */
  readonly told: readonly string[]
  readonly originals: readonly Original[]
  /** Bytes of text and structuredContent before and after. */
  readonly before: number
  readonly after: number
}

/** The least that a block of text gets, so that it still says something. */
const LEAST_BLOCK_BYTES = 64

/** A text in `content`: of a text block, or of an embedded resource. */
interface Slot {
  readonly holder: JsonObject
  readonly label: string
  readonly text: string
  readonly bytes: number
  /** The object or array that the text holds; `null` when it holds none. */
  readonly json: Json | null
  /** Its JSON text without white space; `''` when there is none. */
  readonly compact: string
}

/**
 * Shapes the `result` of a tools/call by a rule, in place. Images, audio and other blobs stay as they are.
 * @param exactStructured gives its structuredContent with the digits that doubles lose, as compact JSON text
 * @returns `null` when nothing changed
 */
export function shapeResult(result: JsonObject, rule: Rule, exactStructured: () => string): Shaped | null {
  const slots = slotsOf(result['content'])
  const structured = result['structuredContent'] !== undefined
  const exact = structured ? exactStructured() : ''
  const before = slots.reduce((sum, slot) => sum + slot.bytes, 0) + byteLength(exact)
  if (before <= rule.above) return null
  const cuts = new Cuts()
  const structuredCuts = new Cuts()
  const changed = shapeSlots(slots, rule, cuts)
  if (structured) shapeStructured(result, rule, byteLength(exact), structuredCuts)
  if (changed.length === 0 && !structuredCuts.any) return null
  // A text that mirrors structuredContent loses the same things: they are told once.
  const told = [...new Set([...cuts.sentences(), ...structuredCuts.sentences()])]
  const lost = changed.filter(slot => slot.holder['text'] !== slot.compact)
  const originals = originalsOf(lost, structuredCuts.any ? exact : '')
  return { told, originals, before, after: bytesNow(slots, result) }
}

/** @param exact the structuredContent that was cut; `''` = it was not */
function originalsOf(lost: readonly Slot[], exact: string): Original[] {
  const originals = lost.map(({ label, text, json }): Original => {
    return { label, text, mime: json === null ? 'text/plain' : 'application/json' }
  })
  if (exact === '' || lost.some(slot => slot.compact === exact)) return originals
  return [...originals, { label: 'structuredContent', mime: 'application/json', text: exact }]
}

function slotsOf(content: Json | undefined): Slot[] {
  if (!Array.isArray(content)) return []
  return content.flatMap((block, index) => {
    const holder = isRecord(block) && block['type'] === 'resource' ? block['resource'] : block
    if (!isRecord(holder) || (holder === block && holder['type'] !== 'text')) return []
    const text = holder['text']
    if (typeof text !== 'string') return []
    const json = containerIn(text)
    const compact = json === null ? '' : JSON.stringify(json)
    return [{ holder, label: `content[${index}]`, text, bytes: byteLength(text), json, compact }]
  })
}

/** @returns those that changed */
function shapeSlots(slots: readonly Slot[], rule: Rule, cuts: Cuts): Slot[] {
  const needs = slots.map(slot => slot.bytes)
  const budgets = allot(needs, rule.maxBytes)
  return slots.filter((slot, index) => {
    const short = shapeText(slot, rule, budgets[index] as number, cuts)
    if (short === slot.text) return false
    slot.holder['text'] = short
    return true
  })
}

/** Shares a budget out: who needs less than its share leaves the rest to the others. */
function allot(needs: readonly number[], budget: number): number[] {
  if (needs.reduce((sum, need) => sum + need, 0) <= budget) return needs.map(() => budget)
  const order = needs.map((_, index) => index).sort((a, b) => (needs[a] as number) - (needs[b] as number))
  const given = new Array<number>(needs.length).fill(0)
  let left = budget
  for (const [rank, index] of order.entries()) {
    const share = Math.max(LEAST_BLOCK_BYTES, Math.floor(left / (order.length - rank)))
    given[index] = Math.min(needs[index] as number, share)
    left = Math.max(0, left - (given[index] as number))
  }
  return given
}

function shapeText(slot: Slot, rule: Rule, budget: number, cuts: Cuts): string {
  const short = slot.json === null ? null : shapeJson(slot, slot.json, rule, budget, cuts)
  if (short !== null) return short
  const cut = cutText(slot.text, budget, rule.text)
  if (cut !== slot.text) cuts.textBytes += slot.bytes - byteLength(cut)
  return cut
}

/** JSON in a text stays JSON; its white space goes only where something has to. `null` = it cannot fit as JSON. */
function shapeJson(slot: Slot, json: Json, rule: Rule, budget: number, cuts: Cuts): string | null {
  const dropped = dropAndPick(json, rule)
  cuts.dropped += dropped
  if (rule.summarise && byteLength(dropped === 0 ? slot.compact : JSON.stringify(json)) > budget) {
    cuts.outlined++
    return cutText(outline(json), budget, 'head')
  }
  const reduced = reduce(json, rule.limits, budget, true, cuts)
  if (reduced === undefined) return null
  const short = JSON.stringify(reduced)
  return short === slot.compact && slot.bytes <= budget ? slot.text : short
}

function dropAndPick(value: Json, rule: Rule): number {
  return (rule.drop?.drop(value) ?? 0) + (rule.pick?.pick(value) ?? 0)
}

function shapeStructured(result: JsonObject, rule: Rule, bytes: number, cuts: Cuts): void {
  if (rule.structured === 'leave') return
  if (rule.structured === 'remove') {
    removeStructured(result, cuts)
    return
  }
  const value = result['structuredContent'] as Json
  cuts.dropped += dropAndPick(value, rule)
  const mayLeaveOut = rule.outputSchema === null
  const slim = cuts.dropped === 0 ? bytes : byteLength(JSON.stringify(value))
  const reduced =
    rule.summarise && slim > rule.maxBytes ? undefined : reduce(value, rule.limits, rule.maxBytes, mayLeaveOut, cuts)
  if (reduced !== undefined) result['structuredContent'] = reduced
  // With a declared schema nothing may be left out: rather too large than wrong.
  else if (mayLeaveOut) removeStructured(result, cuts)
}

function removeStructured(result: JsonObject, cuts: Cuts): void {
  delete result['structuredContent']
  cuts.structuredRemoved = true
}

function bytesNow(slots: readonly Slot[], result: JsonObject): number {
  const texts = slots.reduce((sum, { holder }) => sum + byteLength(String(holder['text'])), 0)
  const structured = result['structuredContent']
  return structured === undefined ? texts : texts + byteLength(JSON.stringify(structured))
}
