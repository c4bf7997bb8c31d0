import { Validator } from '@cfworker/json-schema'
import type { Json, JsonObject } from '#api'
import type { Engine, Fault, Validate } from './engine.ts'
import { OverBudget } from './meter.ts'
import { COST, type Normalised, normalise, type SchemaLimits, WIDTH } from './normalise.ts'
import { Unusable } from './unusable.ts'

/** Checks of a schema that the interpreter does before ajv is worth its compiling (about 120 of them cost as much). */
const COLD_CHECKS = 50
/** Schemas x bytes up to which the interpreter may check. */
const MAX_INTERPRETED = 65_536
/** Steps of one check, about 10 ns each. */
const BUDGET = 2_000_000
/** Steps of an explanation, which goes on after the first fault. */
const EXPLAIN_BUDGET = 50_000
/** The largest value whose faults are all listed, in bytes; else the first alone. */
const MAX_EXPLAINED = 65_536

/** How schemas are checked: the same for all of one chain entry. */
export interface Means {
  readonly limits: SchemaLimits
  /** Whether a pattern that cannot be checked makes the schema unusable. */
  readonly strictPatterns: boolean
  readonly verdicts: Engine
  readonly faults: Engine
}

/** One schema, made ready as far as it was used. */
export class Checker {
  /** Why nothing can be checked against it; `''` = it can. */
  readonly problem: string
  readonly nodes: number
  /** Patterns that are not checked. */
  readonly unchecked: readonly string[]
  readonly #means: Means
  readonly #schema: JsonObject
  readonly #simple: boolean
  readonly #tracks: boolean
  #checks = 0
  #interpreter: Validator | null = null
  #validate: Validate | null = null
  #explain: Validate | null = null

  /** @param bytes size of the schema as JSON text */
  constructor(raw: JsonObject, bytes: number, means: Means) {
    const made = prepare(raw, bytes, means)
    this.problem = typeof made === 'string' ? made : ''
    const { schema, nodes, simple, tracks, unchecked } = typeof made === 'string' ? NOTHING : made
    this.#means = means
    this.#schema = schema
    this.#simple = simple
    this.#tracks = tracks
    this.nodes = nodes
    this.unchecked = unchecked
  }

  /**
   * @param bytes size of the message that the value comes from
   * @throws Unusable where the schema cannot be compiled, or asks for too much work
   */
  isValid(value: Json, bytes: number): boolean {
    this.#checks++
    if (
      this.#simple &&
      this.#validate === null &&
      this.#checks <= COLD_CHECKS &&
      this.nodes * bytes <= MAX_INTERPRETED
    ) {
      this.#interpreter ??= new Validator(withoutCosts(this.#schema) as JsonObject, '2020-12', true)
      if (this.#interpreter.validate(value).valid) return true
      // What it refuses, ajv looks at again: whoever is refused should be told by one voice.
    }
    this.#validate ??= guarded(() => this.#means.verdicts.compile(this.#schema, this.#tracks))
    return this.#run(this.#validate, this.#means.verdicts, BUDGET, value)
  }

  /** What is wrong with a value that is not valid: all of it where it is small, else the first fault. */
  faults(value: Json, bytes: number): readonly Fault[] {
    if (bytes <= MAX_EXPLAINED) {
      try {
        this.#explain ??= guarded(() => this.#means.faults.compile(this.#schema, this.#tracks))
        if (!this.#run(this.#explain, this.#means.faults, EXPLAIN_BUDGET, value)) return this.#explain.errors ?? []
      } catch (error) {
        if (!(error instanceof Unusable)) throw error
      }
    }
    this.#validate ??= guarded(() => this.#means.verdicts.compile(this.#schema, this.#tracks))
    this.#run(this.#validate, this.#means.verdicts, BUDGET, value)
    return this.#validate.errors ?? []
  }

  #run(validate: Validate, engine: Engine, budget: number, value: Json): boolean {
    engine.meter.left = budget
    return guarded(() => validate(value))
  }
}

function prepare(raw: JsonObject, bytes: number, means: Means): Normalised | string {
  if (bytes > means.limits.maxBytes) return `is larger than ${means.limits.maxBytes} bytes`
  try {
    const made = guarded(() => normalise(raw, means.limits))
    if (means.strictPatterns && made.unchecked.length > 0) return 'has a pattern that cannot be checked in linear time'
    return made
  } catch (error) {
    if (error instanceof Unusable) return error.message
    throw error
  }
}

const NOTHING: Normalised = { schema: {}, nodes: 0, simple: false, tracks: false, unchecked: [] }

/** Turns what a hostile schema does to whoever reads it into an `Unusable`. */
function guarded<T>(run: () => T): T {
  try {
    return run()
  } catch (error) {
    if (error instanceof OverBudget) throw new Unusable(error.message)
    if (error instanceof RangeError) throw new Unusable('refers to itself without end, or is nested too deep')
    if (error instanceof Unusable) throw error
    throw new Unusable(`cannot be compiled (${(error as Error).message.slice(0, 200)})`)
  }
}

/** A copy of its own: the interpreter writes into what it reads. */
function withoutCosts(schema: Json): Json {
  return JSON.parse(
    JSON.stringify(schema, (key, value) =>
      typeof value === 'number' && (key === COST || key === WIDTH) ? undefined : value,
    ),
  )
}
