import { _, Ajv2020, type KeywordCxt, type Name, type Options } from 'ajv/dist/2020.js'
import type { Json, JsonObject } from '#api'
import { canonical } from './canonical.ts'
import { Meter } from './meter.ts'
import { COST, WIDTH } from './normalise.ts'
import { compilePattern } from './pattern.ts'
import { hasAtLeast, hasAtMost } from './strings.ts'

/** One thing that is wrong, without the value it is wrong about. */
export interface Fault {
  /** JSON pointer into the value. */
  readonly instancePath: string
  /** Where in the schema it is said. */
  readonly schemaPath: string
  readonly keyword: string
  readonly params: Readonly<Record<string, unknown>>
}

/** Checks one value, with a budget of steps. @throws OverBudget, RangeError */
export interface Validate {
  (value: Json): boolean
  errors?: readonly Fault[] | null
}

/**
 * An ajv keeps something of each schema it ever compiled: after so many it is replaced, so that what nobody uses any more
 * can go.
 */
const MAX_COMPILED = 100

const OPTIONS: Options = {
  // Schemas were looked at before (normalise); ajv's own check costs more than compiling.
  meta: false,
  validateSchema: false,
  strict: false,
  validateFormats: false,
  // It would print the whole generated function.
  logger: false,
  // A schema that is referred to many times would be copied as often.
  inlineRefs: false,
  addUsedSchema: false,
  // `toString` is no member of an object that does not have it.
  ownProperties: true,
  multipleOfPrecision: 9,
  loopEnum: 20,
  loopRequired: 20,
  messages: false,
}

/** Compiles normalised schemas. */
export class Engine {
  readonly meter = new Meter()
  readonly #allErrors: boolean
  #plain: Pool | null = null
  #tracking: Pool | null = null

  /** @param allErrors whether a check goes on after the first fault */
  constructor(allErrors: boolean) {
    this.#allErrors = allErrors
  }

  /**
   * @param tracks whether the schema has `unevaluatedProperties` or `unevaluatedItems`: keeping in mind what was looked at
   *   costs time, and ajv's code for it fails for some schemas, so that nobody else should have it
   * @throws RangeError, and what ajv throws
   */
  compile(schema: JsonObject, tracks: boolean): Validate {
    const pool = usable(tracks ? this.#tracking : this.#plain) ?? { ajv: this.#make(tracks), compiled: 0 }
    if (tracks) this.#tracking = pool
    else this.#plain = pool
    pool.compiled++
    try {
      return pool.ajv.compile(schema) as unknown as Validate
    } finally {
      pool.ajv.removeSchema(schema)
    }
  }

  #make(tracks: boolean): Ajv2020 {
    const { meter } = this
    // The optimiser takes time that grows with the square of the schema, and gains next to nothing.
    const code = { optimize: false, regExp: regExpWith(meter) }
    const ajv = new Ajv2020({ ...OPTIONS, allErrors: this.#allErrors, code })
    // Ajv2020 insists on it; it is read when a schema is compiled.
    Object.assign(ajv.opts, { unevaluated: tracks })
    addSteps(ajv, meter)
    addChoices(ajv, meter)
    addLengths(ajv, meter)
    addUniqueItems(ajv, meter)
    return ajv
  }
}

/** An ajv, and how many schemas it has compiled. */
interface Pool {
  readonly ajv: Ajv2020
  compiled: number
}

function usable(pool: Pool | null): Pool | null {
  return pool === null || pool.compiled >= MAX_COMPILED ? null : pool
}

/** Regular expressions in linear time, each test paid for by the length of the text. */
function regExpWith(meter: Meter) {
  const make = (source: string) => {
    const pattern = compilePattern(source)
    if (pattern === null) throw new SyntaxError(`pattern ${source}`)
    const test = (text: string): boolean => {
      meter.spend(1 + text.length)
      return pattern.test(text)
    }
    // ajv tells patterns apart by their text.
    return { test, toString: () => source }
  }
  return Object.assign(make, { code: 'sluice' })
}

function addSteps(ajv: Ajv2020, meter: Meter): void {
  const spend = (cxt: KeywordCxt, steps: Name | ReturnType<typeof _>): void => {
    const counter = cxt.gen.scopeValue('obj', { ref: meter, key: meter })
    cxt.gen.if(_`(${counter}.left -= ${steps}) < 0`, () => cxt.gen.throw(_`${counter}.spent`))
  }
  ajv.addKeyword({
    keyword: COST,
    schemaType: 'number',
    before: '$ref',
    code: cxt => spend(cxt, _`${cxt.schema as number}`),
  })
  ajv.addKeyword({
    keyword: WIDTH,
    schemaType: 'number',
    before: '$ref',
    code: cxt => {
      const members = cxt.gen.scopeValue('func', { ref: countMembers, key: countMembers })
      spend(cxt, _`${cxt.schema as number} * ${members}(${cxt.data})`)
    },
  })
}

function countMembers(value: unknown): number {
  return typeof value === 'object' && value !== null ? Object.keys(value).length : 1
}

/** ajv asks a value for its `toString` when it compares; a value may have a member of that name. */
function addChoices(ajv: Ajv2020, meter: Meter): void {
  const rules = [
    ['enum', 'array', _`allowedValues`],
    ['const', undefined, _`allowedValue`],
  ] as const
  for (const [keyword, schemaType, told] of rules) {
    ajv.removeKeyword(keyword)
    ajv.addKeyword({
      keyword,
      ...(schemaType !== undefined && { schemaType }),
      error: { message: '', params: ({ schemaCode }) => _`{${told}: ${schemaCode}}` },
      code(cxt) {
        const check = oneOf((keyword === 'enum' ? cxt.schema : [cxt.schema]) as Json[], meter)
        const name = cxt.gen.scopeValue('func', { ref: check, key: check })
        cxt.fail(_`!${name}(${cxt.data})`)
      },
    })
  }
}

function oneOf(values: readonly Json[], meter: Meter): (value: Json) => boolean {
  const simple = new Set(values.filter(value => typeof value !== 'object' || value === null))
  const texts = new Set(values.filter(value => typeof value === 'object' && value !== null).map(canonical))
  return value => {
    if (typeof value !== 'object' || value === null) return simple.has(value)
    if (texts.size === 0) return false
    const text = canonical(value)
    meter.spend(1 + (text.length >> 2))
    return texts.has(text)
  }
}

/** ajv counts the characters of the whole text each time; these mostly look at its length alone. */
function addLengths(ajv: Ajv2020, meter: Meter): void {
  const rules = [
    ['minLength', hasAtLeast],
    ['maxLength', hasAtMost],
  ] as const
  for (const [keyword, fits] of rules) {
    const check = (text: string, limit: number): boolean => {
      meter.spend(1 + (Math.min(text.length, 2 * limit + 1) >> 2))
      return fits(text, limit)
    }
    ajv.removeKeyword(keyword)
    ajv.addKeyword({
      keyword,
      type: 'string',
      schemaType: 'number',
      error: { message: '', params: ({ schemaCode }) => _`{limit: ${schemaCode}}` },
      code(cxt) {
        const name = cxt.gen.scopeValue('func', { ref: check, key: check })
        cxt.fail(_`!${name}(${cxt.data}, ${cxt.schemaCode})`)
      },
    })
  }
}

/** ajv compares each item with each other: 5,000 objects take it a third of a second. */
function addUniqueItems(ajv: Ajv2020, meter: Meter): void {
  const isUnique = (items: Json[]): boolean => {
    const seen = new Set<string>()
    for (const item of items) {
      const text = canonical(item)
      meter.spend(1 + (text.length >> 2))
      if (seen.has(text)) return false
      seen.add(text)
    }
    return true
  }
  ajv.removeKeyword('uniqueItems')
  ajv.addKeyword({
    keyword: 'uniqueItems',
    type: 'array',
    schemaType: 'boolean',
    code(cxt) {
      if (cxt.schema === false) return
      const name = cxt.gen.scopeValue('func', { ref: isUnique, key: isUnique })
      cxt.fail(_`!${name}(${cxt.data})`)
    },
  })
}
