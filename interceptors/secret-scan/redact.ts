import type { JsonObject } from '#api'
import { encodeLike } from './decode.ts'
import type { Path } from './json-strings.ts'
import type { Cut, Finding, Holder } from './message-scan.ts'
import { fitTo } from './output-schema.ts'
import type { Rule } from './rule.ts'

/** What stands where a secret stood. */
export function markerOf(rule: Rule): string {
  return `***REDACTED:${rule.id}***`
}

/** A message without its secrets. */
export interface Redaction {
  readonly body: Buffer
  /** Members that must be taken out of it, because no marker may stand there; the last in order first. */
  readonly removals: readonly Path[]
}

/** A cut and the rule it is made for. */
interface Marked {
  readonly cut: Cut
  readonly rule: Rule
}

/**
 * Puts markers in place of secrets; all other bytes stay as they are.
 * @param outputSchema of the tool whose result this is; `null` = none
 * @returns the finding that cannot be redacted, where there is one
 */
export function redact(
  bytes: Buffer,
  findings: readonly Finding[],
  outputSchema: JsonObject | null,
): Redaction | Finding {
  const byHolder = new Map<number, Marked[]>()
  for (const finding of findings) {
    for (const cut of finding.cuts) {
      if (cut.holder.fixed) return finding
      const list = byHolder.get(cut.holder.start)
      if (list === undefined) byHolder.set(cut.holder.start, [{ cut, rule: finding.rule }])
      else list.push({ cut, rule: finding.rule })
    }
  }
  const parts: Buffer[] = []
  const removals: Path[] = []
  let from = 0
  let keys = 0
  for (const start of [...byHolder.keys()].sort((a, b) => a - b)) {
    const marked = byHolder.get(start) as Marked[]
    const { holder } = (marked[0] as Marked).cut
    let text = holder.kind === 'number' ? '0' : withMarkers(holder.value, marked)
    // Two keys of one object must not become the same.
    if (holder.kind === 'key' && ++keys > 1) text += `#${keys}`
    const fit = fitOf(holder, text, outputSchema)
    if (fit.as === 'nothing')
      return findings.find(finding => finding.cuts.some(cut => cut.holder.start === start)) as Finding
    if (fit.as === 'absence') removals.unshift(holder.path)
    else text = fit.value
    parts.push(bytes.subarray(from, start), Buffer.from(holder.kind === 'number' ? text : JSON.stringify(text)))
    from = holder.end
  }
  parts.push(bytes.subarray(from))
  return { body: Buffer.concat(parts), removals }
}

/** Takes a member out of a copy of the message. */
export function removeAt(json: JsonObject, path: Path): void {
  let at: unknown = json
  for (const key of path.slice(0, -1)) at = (at as Record<string | number, unknown> | undefined)?.[key]
  if (typeof at === 'object' && at !== null) delete (at as Record<string | number, unknown>)[path.at(-1) as string]
}

function fitOf(holder: Holder, text: string, schema: JsonObject | null): ReturnType<typeof fitTo> {
  const { path, kind } = holder
  if (schema === null || kind === 'key' || path[0] !== 'result' || path[1] !== 'structuredContent') {
    return { as: 'value', value: text }
  }
  return fitTo(schema, path.slice(2), text, kind === 'number')
}

/** A stretch of a text and what comes in its place. */
interface Stretch {
  start: number
  end: number
  text: string
}

function withMarkers(value: string, marked: readonly Marked[]): string {
  const stretches: Stretch[] = []
  for (const { cut, rule } of marked) {
    if (cut.encoded === null) add(stretches, cut.start, cut.end, cut.marked ? markerOf(rule) : '')
  }
  for (const [run, list] of runsOf(marked)) {
    const first = list[0] as Marked
    const text = value.slice(run.start, run.end)
    add(stretches, run.start, run.end, recoded(text, run.decoded, list) ?? markerOf(first.rule))
  }
  let out = ''
  let from = 0
  for (const { start, end, text } of merged(stretches)) {
    out += value.slice(from, start) + text
    from = end
  }
  return out + value.slice(from)
}

function add(stretches: Stretch[], start: number, end: number, text: string): void {
  stretches.push({ start, end, text })
}

/** In order; those that overlap become one, with the text of the first. */
function merged(stretches: readonly Stretch[]): Stretch[] {
  const result: Stretch[] = []
  for (const next of stretches.toSorted((a, b) => a.start - b.start || b.end - a.end)) {
    const last = result.at(-1)
    if (last !== undefined && next.start < last.end) last.end = Math.max(last.end, next.end)
    else result.push({ ...next })
  }
  return result
}

type Run = NonNullable<NonNullable<Cut['encoded']>['run']>

function runsOf(marked: readonly Marked[]): Map<Run, Marked[]> {
  const runs = new Map<Run, Marked[]>()
  for (const one of marked) {
    const run = one.cut.encoded?.run
    if (run === undefined || run === null) continue
    const list = runs.get(run)
    if (list === undefined) runs.set(run, [one])
    else list.push(one)
  }
  return runs
}

/** Base64 again, so that what must be base64 still is. */
function recoded(original: string, decoded: string, marked: readonly Marked[]): string {
  const stretches = marked.map(({ cut, rule }) => ({
    start: cut.encoded?.innerStart ?? 0,
    end: cut.encoded?.innerEnd ?? 0,
    text: markerOf(rule),
  }))
  let text = ''
  let from = 0
  for (const stretch of merged(stretches)) {
    text += decoded.slice(from, stretch.start) + stretch.text
    from = stretch.end
  }
  return encodeLike(original, text + decoded.slice(from))
}
