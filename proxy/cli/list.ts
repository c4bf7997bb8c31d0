import { relative } from 'node:path'
import { type Interceptor, type Look, z } from '../api/index.ts'
import { formatByteSize, formatDuration } from '../api/units.ts'
import { suggestion } from '../base/suggest.ts'
import type { Entry } from '../policy/registry.ts'
import { loadRegistry } from './compile-once.ts'
import { configOrDefault } from './settings.ts'
import { UsageError } from './usage-error.ts'

export interface ListFlags {
  readonly config?: string
  readonly interceptors: readonly string[]
  readonly json?: boolean
}

/** One member of a JSON Schema's `properties`. */
interface Property {
  readonly type?: string | readonly string[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly items?: Property
  readonly anyOf?: readonly Property[]
  readonly additionalProperties?: Property | boolean
  readonly default?: unknown
  readonly description?: string
}

interface OptionRow {
  readonly name: string
  readonly type: string
  /** As JSON; `''` = none. */
  readonly default: string
  readonly required: boolean
  readonly description: string
}

/** `sluice list [NAME]`: interceptors, where they come from, what they read, and their options. */
export async function list(name: string, flags: ListFlags): Promise<string> {
  const entries = (await loadRegistry(configOrDefault(flags))).list()
  const shown = name === '' ? entries : entries.filter(entry => entry.interceptor.name === name)
  if (shown.length === 0) {
    const names = entries.map(entry => entry.interceptor.name)
    throw new UsageError(`no interceptor "${name}"${suggestion(name, names, 'there are')}`)
  }
  if (flags.json === true) return `${JSON.stringify(shown.map(asJson), null, 2)}\n`
  return shown.map(asText).join('\n')
}

function asText({ interceptor, origin }: Entry): string {
  const { name, summary, onFailure, timeoutMs = 5000 } = interceptor
  const lines = [`${name}  (${shortOrigin(origin)})`, `  ${summary}`]
  lines.push(...looksOf(interceptor).map(([kind, look]) => `  reads ${kind}s: ${lookText(look)}`))
  lines.push(`  on failure: ${onFailure}; time limit: ${formatDuration(timeoutMs)}`)
  const options = optionsOf(interceptor)
  lines.push(options.length === 0 ? '  no options' : '  options:')
  lines.push(...options.map(optionText))
  return `${lines.join('\n')}\n`
}

function asJson({ interceptor, origin }: Entry): unknown {
  const { name, summary, looks, onFailure, timeoutMs = 5000 } = interceptor
  return { name, summary, origin, looks, on_failure: onFailure, timeout_ms: timeoutMs, options: schemaOf(interceptor) }
}

function looksOf(interceptor: Interceptor): [string, Look][] {
  return Object.entries(interceptor.looks) as [string, Look][]
}

function lookText(look: Look): string {
  const parts = [look.need === 'envelope' ? 'envelope only' : look.need]
  if (look.edits === true) parts.push('may change them')
  if (look.directions !== undefined) parts.push(`only ${look.directions.join(', ')}`)
  if (look.need !== 'envelope') parts.push(`up to ${formatByteSize(look.maxBytes ?? 4 * 1024 * 1024)}`)
  return parts.join(', ')
}

function schemaOf(interceptor: Interceptor): { properties?: Record<string, Property>; required?: string[] } {
  return z.toJSONSchema(interceptor.options, { io: 'input', unrepresentable: 'any' }) as ReturnType<typeof schemaOf>
}

function optionsOf(interceptor: Interceptor): OptionRow[] {
  const { properties = {}, required = [] } = schemaOf(interceptor)
  return Object.entries(properties).map(([name, property]) => ({
    name,
    type: typeText(property),
    default: property.default === undefined ? '' : JSON.stringify(property.default),
    required: required.includes(name),
    description: property.description ?? '',
  }))
}

function typeText(property: Property): string {
  if (property.const !== undefined) return JSON.stringify(property.const)
  if (property.enum !== undefined) return property.enum.map(value => JSON.stringify(value)).join(' | ')
  if (property.anyOf !== undefined) return [...new Set(property.anyOf.map(typeText))].join(' | ')
  if (property.type === 'array') return `list of ${typeText(property.items ?? {})}`
  if (property.type === 'object') {
    const values = property.additionalProperties
    return typeof values === 'object' ? `mapping to ${typeText(values)}` : 'mapping'
  }
  return property.type === undefined ? 'any' : [property.type].flat().join(' | ')
}

function optionText({ name, type, default: fallback, required, description }: OptionRow): string {
  const extra = required ? ', required' : fallback === '' ? '' : `, default ${fallback}`
  return `    ${name}: ${type}${extra}${description === '' ? '' : `\n        ${description}`}`
}

/** Paths as a person in the working directory would type them. */
function shortOrigin(origin: string): string {
  if (!origin.startsWith('/')) return origin
  const near = relative('', origin)
  return near.startsWith('..') ? origin : near
}
