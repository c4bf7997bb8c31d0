import type { Json, JsonObject } from '#api'
import { canonical } from '../check/canonical.ts'
import { isObject } from '../check/json.ts'
import { changedFields, pinned } from './digest.ts'
import type { Pin } from './lock-file.ts'

/** Longest value that is shown whole. */
const MAX_SHOWN = 2000
const MAX_LINES = 200

/** How the tools of a server differ from their pins, for people; `''` = not at all. */
export function diffServer(server: string, pins: ReadonlyMap<string, Pin>, tools: readonly JsonObject[]): string {
  const now = new Map(tools.map(tool => [String(tool['name']), tool]))
  const names = [...new Set([...pins.keys(), ...now.keys()])].sort()
  return names.map(name => diffTool(`${server}.${safe(name)}`, pins.get(name)?.tool, now.get(name))).join('')
}

function diffTool(title: string, before: JsonObject | undefined, after: JsonObject | undefined): string {
  if (before === undefined && after !== undefined) return `+ ${title}: new\n${indent(values('+', '', pinned(after)))}`
  if (after === undefined) return `- ${title}: gone\n`
  const fields = changedFields(before ?? {}, after)
  if (fields.length === 0) return ''
  const lines = fields.flatMap(field => diffValue(field, before?.[field], after[field]))
  return `! ${title}: ${fields.join(', ')} changed\n${indent(lines)}`
}

function diffValue(path: string, before: Json | undefined, after: Json | undefined): string[] {
  if (before !== undefined && after !== undefined && canonical(before) === canonical(after)) return []
  if (isObject(before) && isObject(after)) {
    const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])].sort()
    return keys.flatMap(key => diffValue(`${path}.${safe(key)}`, before[key], after[key]))
  }
  return [
    ...(before === undefined ? [] : values('-', path, before)),
    ...(after === undefined ? [] : values('+', path, after)),
  ]
}

/** A text is shown line by line, so that what was slipped into it stands out. */
function values(sign: string, path: string, value: Json): string[] {
  if (isObject(value)) {
    const entries = Object.entries(value)
    if (entries.length > 0) {
      return entries.flatMap(([key, member]) => values(sign, path === '' ? safe(key) : `${path}.${safe(key)}`, member))
    }
  }
  const text = typeof value === 'string' ? value : JSON.stringify(value)
  const shown = text.length <= MAX_SHOWN ? text : `${text.slice(0, MAX_SHOWN)}… (${text.length} characters)`
  return shown.split('\n').map(line => `${sign} ${path}: ${safe(line)}`)
}

function indent(lines: readonly string[]): string {
  const shown = lines.slice(0, MAX_LINES).map(line => `    ${line}\n`)
  if (lines.length > MAX_LINES) shown.push(`    … ${lines.length - MAX_LINES} more lines\n`)
  return shown.join('')
}

/** Shows what a terminal would obey or hide: control characters, and characters without a width or with a direction. */
function safe(text: string): string {
  return text.replace(
    /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\u{e0000}-\u{e007f}]/gu,
    character => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  )
}
