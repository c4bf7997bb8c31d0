import type { Direction, Kind } from '../api/index.ts'
import { formatByteSize, formatDuration } from '../api/units.ts'
import { applied } from './build-plan.ts'
import type { ChainEntry } from './chain-entry.ts'
import type { CompiledPolicy } from './compile.ts'
import { METHODS } from './methods.ts'
import type { Phase, Step } from './plan.ts'

/** The message to explain the chain for. */
export interface Question {
  readonly server: string
  readonly method: string
  /** `''` = none. */
  readonly name: string
  readonly client: string
}

type Way = readonly [kind: Kind, direction: Direction]

const ALL_WAYS: readonly Way[] = [
  ['request', 'toServer'],
  ['response', 'toClient'],
  ['request', 'toClient'],
  ['response', 'toServer'],
  ['notification', 'toServer'],
  ['notification', 'toClient'],
]

/** The chain that runs for a message, and what is left out of it and why: text for people, ends in a line break. */
export function explain(policy: CompiledPolicy, question: Question): string {
  const { server, method, name, client } = question
  const plan = policy.table.find(server, method, name, client)
  const lines = [headline(question), '']
  for (const [kind, direction] of waysOf(method)) lines.push(...explainPhase(kind, direction, plan[direction][kind]))
  if (plan.ends !== null) lines.push(`end: ${plan.ends.map(step => step.entry).join(', ')}`)
  lines.push(...leftOut(policy, question))
  return `${lines.join('\n')}\n`
}

function headline({ server, method, name, client }: Question): string {
  return `${server} ${method === '' ? '(unknown method)' : method}${name === '' ? '' : ` ${name}`} as ${client}`
}

/** The ways on which messages of a method travel; all, where nobody knows. */
function waysOf(method: string): readonly Way[] {
  const spec = METHODS.get(method)
  if (spec === undefined) return ALL_WAYS
  return ALL_WAYS.filter(([kind, direction]) => {
    if (spec.kind === 'notification' || kind === 'notification')
      return spec.kind === kind && spec.directions.includes(direction)
    const asked = kind === 'request' ? direction : direction === 'toClient' ? 'toServer' : 'toClient'
    return spec.directions.includes(asked)
  })
}

function explainPhase(kind: Kind, direction: Direction, phase: Phase | null): string[] {
  const title = `${kind} ${direction === 'toServer' ? 'to server' : 'to client'}`
  if (phase === null) return [`${title}: nobody looks, bytes are piped`]
  return [
    `${title}: ${closeness(phase)}`,
    ...table(phase.steps.map((step, i) => [`  ${i + 1}. ${step.entry}`, ...columns(step)])),
  ]
}

function closeness({ need, edits, maxBytes }: Phase | Step): string {
  const size = need === 'envelope' ? '' : ` up to ${sizeText(maxBytes)}`
  return `${need}${size}${edits ? ', edits' : ''}`
}

function columns(step: Step): string[] {
  const limited = step.maxBytes < Number.MAX_SAFE_INTEGER
  const parts = [`fails ${step.onFailure}`, `timeout ${formatDuration(step.timeoutMs)}`]
  if (limited) parts.push(`${step.need === 'envelope' ? `over ${sizeText(step.maxBytes)}` : 'too big'}: ${step.tooBig}`)
  if (step.answer !== 'auto') parts.push(`refuses by ${step.answer}`)
  if (step.mode === 'shadow') parts.push('shadow: changes nothing')
  if (step.condition !== null) parts.push(`when ${step.condition.text.trim().replace(/\s+/g, ' ')}`)
  return [closeness(step), parts.join(', ')]
}

function sizeText(bytes: number): string {
  return bytes === Number.MAX_SAFE_INTEGER ? 'any size' : formatByteSize(bytes)
}

/** Columns of one width, two spaces between them. */
function table(rows: readonly string[][]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map(row => row[column]?.length ?? 0)))
  return rows.map(row =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  )
}

function leftOut(policy: CompiledPolicy, { server, method, name, client }: Question): string[] {
  const lines = policy.chain.flatMap(entry => {
    const key = entry.matcher.misfit(server, method, name, client)
    const runs = applied(entry, server, method, name, client) !== null
    return key === null || runs ? [] : [`  ${entry.name}: match.${key} is ${patterns(entry, key)}`]
  })
  lines.push(...policy.off.map(entry => `  ${entry}: mode is off`))
  return lines.length === 0 ? [] : ['left out:', ...lines]
}

function patterns(entry: ChainEntry, key: 'server' | 'method' | 'name' | 'client'): string {
  const list = entry.matcher[key].patterns
  return list.length === 1 ? String(list[0]) : `[${list.join(', ')}]`
}
