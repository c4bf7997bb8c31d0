import type { Json } from '#api'
import { isObject } from './json.ts'

/** Keywords whose value is one schema. */
export const ONE = [
  'additionalProperties',
  'unevaluatedProperties',
  'unevaluatedItems',
  'propertyNames',
  'contains',
  'not',
  'if',
  'then',
  'else',
] as const

/** Keywords whose value is a list of schemas. */
export const LISTS = ['allOf', 'anyOf', 'oneOf'] as const

/** Keywords whose value maps names to schemas. */
export const MAPS = ['properties', 'patternProperties', 'dependentSchemas'] as const

/** Keywords of 2020-12 that draft-07 does not know. */
export const NEW: ReadonlySet<string> = new Set([
  'unevaluatedProperties',
  'unevaluatedItems',
  'dependentSchemas',
  'dependentRequired',
  'minContains',
  'maxContains',
])

export const TYPES: ReadonlySet<Json> = new Set(['null', 'boolean', 'integer', 'number', 'string', 'array', 'object'])

const isNumber = (value: Json): boolean => typeof value === 'number'
const isCount = (value: Json): boolean => typeof value === 'number' && Number.isInteger(value) && value >= 0
const isNames = (value: Json): boolean => Array.isArray(value) && value.every(name => typeof name === 'string')

/** Keywords whose value is no schema: what it must be (2020-12, meta-schema "validation"). */
export const PLAIN: Readonly<Record<string, { readonly fits: (value: Json) => boolean; readonly what: string }>> = {
  const: { fits: () => true, what: '' },
  enum: { fits: Array.isArray, what: 'a list' },
  maximum: { fits: isNumber, what: 'a number' },
  minimum: { fits: isNumber, what: 'a number' },
  exclusiveMaximum: { fits: isNumber, what: 'a number' },
  exclusiveMinimum: { fits: isNumber, what: 'a number' },
  multipleOf: { fits: value => isNumber(value) && (value as number) > 0, what: 'a number above 0' },
  maxLength: { fits: isCount, what: 'a whole number' },
  minLength: { fits: isCount, what: 'a whole number' },
  maxItems: { fits: isCount, what: 'a whole number' },
  minItems: { fits: isCount, what: 'a whole number' },
  maxContains: { fits: isCount, what: 'a whole number' },
  minContains: { fits: isCount, what: 'a whole number' },
  maxProperties: { fits: isCount, what: 'a whole number' },
  minProperties: { fits: isCount, what: 'a whole number' },
  uniqueItems: { fits: value => typeof value === 'boolean', what: 'true or false' },
  required: { fits: isNames, what: 'a list of names' },
  dependentRequired: {
    fits: value => isObject(value) && Object.values(value).every(isNames),
    what: 'a mapping to lists of names',
  },
}

/** Keywords that the interpreter reads as ajv does; a schema with any other waits for ajv. */
export const SIMPLE: ReadonlySet<string> = new Set([
  'type',
  'const',
  'enum',
  'maximum',
  'minimum',
  'exclusiveMaximum',
  'exclusiveMinimum',
  'maxLength',
  'minLength',
  'maxItems',
  'minItems',
  'maxProperties',
  'minProperties',
  'required',
  'properties',
  'additionalProperties',
  'items',
  'allOf',
  'anyOf',
  'oneOf',
  'not',
])
