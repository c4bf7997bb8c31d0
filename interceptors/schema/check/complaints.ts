import type { Json, JsonObject } from '#api'
import type { Fault } from './engine.ts'
import { brief } from './json.ts'
import { similar } from './similar.ts'

/** Most lines of a refusal. */
const MAX_LINES = 10
/** Most values of an `enum` that are told. */
const MAX_CHOICES = 20

/** What to call the members of the value that is checked. */
export type Noun = 'parameter' | 'member'

/**
 * One line for each thing that is wrong, for a model to act on. A line names members and what the schema wants, never a
 * value: it goes into logs.
 * @param known names of the members that the value may have at its top
 */
export function complaints(faults: readonly Fault[], value: Json, noun: Noun, known: readonly string[]): string[] {
  const lines = new Set<string>()
  for (const fault of withoutBranches(faults)) lines.add(lineOf(fault, faults, value, noun, known))
  const all = [...lines]
  if (all.length <= MAX_LINES) return all
  return [...all.slice(0, MAX_LINES), `… and ${all.length - MAX_LINES} more`]
}

/** What is wrong with the branches of `anyOf` says less than that none of them fits. */
function withoutBranches(faults: readonly Fault[]): Fault[] {
  const choices = faults.filter(({ keyword }) => keyword === 'anyOf' || keyword === 'oneOf')
  const isInBranch = (fault: Fault): boolean => choices.some(choice => fault !== choice && isBelow(fault, choice))
  return faults.filter(fault => fault.keyword !== 'if' && !isInBranch(fault))
}

function isBelow(fault: Fault, choice: Fault): boolean {
  if (fault.schemaPath.startsWith(`${choice.schemaPath}/`)) return true
  const inside = fault.instancePath === choice.instancePath || fault.instancePath.startsWith(`${choice.instancePath}/`)
  return inside && fault.schemaPath.startsWith('#/$defs/') && !choice.schemaPath.startsWith('#/$defs/')
}

function lineOf(fault: Fault, faults: readonly Fault[], value: Json, noun: Noun, known: readonly string[]): string {
  const { keyword, params, instancePath } = fault
  const path = pathOf(instancePath)
  const named = (key: string): string => join(path, String(params[key]))
  switch (keyword) {
    case 'required':
      return `Missing required ${noun}: ${named('missingProperty')}`
    case 'dependentRequired':
      return `Missing required ${noun}: ${named('missingProperty')} (needed with ${named('property')})`
    case 'additionalProperties':
    case 'unevaluatedProperties':
      return unknown(String(params['additionalProperty'] ?? params['unevaluatedProperty']), path, noun, known)
    case 'false schema':
      return `Unknown ${noun}: ${path === '' ? '(the whole)' : path}`
    case 'propertyNames':
      return `${named('propertyName')}: a ${noun} may not have this name`
    default:
      return `${path === '' ? '(the whole)' : path}: ${expectation(fault, faults, value)}`
  }
}

function unknown(name: string, path: string, noun: Noun, known: readonly string[]): string {
  const near = path === '' ? similar(name, known)[0] : undefined
  return `Unknown ${noun}: ${join(path, name)}${near === undefined ? '' : ` (did you mean ${brief(near)}?)`}`
}

function expectation(fault: Fault, faults: readonly Fault[], value: Json): string {
  const { keyword, params } = fault
  const limit = String(params['limit'])
  const rule = LIMITS[keyword]
  if (rule !== undefined) return `expected ${rule(limit)}`
  switch (keyword) {
    case 'type':
      return `expected ${[params['type']].flat().join(' or ')}, got ${typeAt(value, fault.instancePath)}`
    case 'enum':
      return `expected one of ${choices(params['allowedValues'] as readonly Json[])}`
    case 'const':
      return `expected ${brief(JSON.stringify(params['allowedValue']))}`
    case 'multipleOf':
      return `expected a multiple of ${String(params['multipleOf'])}`
    case 'pattern':
      return `expected text that matches ${brief(String(params['pattern']), 200)}`
    case 'uniqueItems':
      return 'expected no item twice'
    case 'contains':
      return 'expected other items in it'
    case 'anyOf':
    case 'oneOf':
      return choiceOf(fault, faults, value)
    case 'unevaluatedItems':
      return 'expected fewer items'
    default:
      return `does not fit "${keyword}" of its schema`
  }
}

const LIMITS: Readonly<Record<string, (limit: string) => string>> = {
  minimum: limit => `at least ${limit}`,
  maximum: limit => `at most ${limit}`,
  exclusiveMinimum: limit => `more than ${limit}`,
  exclusiveMaximum: limit => `less than ${limit}`,
  minLength: limit => `at least ${limit} characters`,
  maxLength: limit => `at most ${limit} characters`,
  minItems: limit => `at least ${limit} items`,
  maxItems: limit => `at most ${limit} items`,
  items: limit => `at most ${limit} items`,
  minProperties: limit => `at least ${limit} members`,
  maxProperties: limit => `at most ${limit} members`,
}

/** A union of types is told as one; the branches of any other choice are not told. */
function choiceOf(fault: Fault, faults: readonly Fault[], value: Json): string {
  const { passingSchemas } = fault.params
  if (Array.isArray(passingSchemas)) return 'fits more than one of the forms that exclude each other'
  const branches = faults.filter(one => one !== fault && isBelow(one, fault))
  const types = branches.filter(one => one.keyword === 'type' && one.instancePath === fault.instancePath)
  if (types.length === 0 || types.length < branches.length) return 'fits none of the forms allowed here'
  const names = new Set(types.flatMap(one => [one.params['type']].flat()))
  return `expected ${[...names].join(' or ')}, got ${typeAt(value, fault.instancePath)}`
}

function choices(values: readonly Json[]): string {
  const told = values.slice(0, MAX_CHOICES).map(value => brief(JSON.stringify(value)))
  return told.join(', ') + (values.length > MAX_CHOICES ? ` and ${values.length - MAX_CHOICES} more` : '')
}

/** `/filter/from/0` → `filter.from[0]`. */
function pathOf(pointer: string): string {
  return parts(pointer).reduce((path, part) => (/^\d+$/.test(part) ? `${path}[${part}]` : join(path, part)), '')
}

function join(path: string, name: string): string {
  return path === '' ? brief(name) : `${path}.${brief(name)}`
}

/** The keys that a JSON pointer names. */
export function parts(pointer: string): string[] {
  return pointer
    .split('/')
    .slice(1)
    .map(part => part.replaceAll('~1', '/').replaceAll('~0', '~'))
}

/** The value at a JSON pointer; `undefined` where there is none. */
export function valueAt(value: Json, pointer: string): Json | undefined {
  let at: Json | undefined = value
  for (const key of parts(pointer)) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined
    at = (at as JsonObject)[key]
  }
  return at
}

function typeAt(value: Json, pointer: string): string {
  const at = valueAt(value, pointer)
  if (at === null) return 'null'
  return Array.isArray(at) ? 'array' : typeof at
}
