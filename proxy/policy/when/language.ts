import { Environment } from '@marcbachmann/cel-js'
import { RE2JS } from 're2js'
import { VARIABLES } from './variables.ts'

/**
 * What stands in for `matches`, whose own engine backtracks: a peer could stall the proxy with a long value. The name is
 * none that an expression could write.
 */
export const LINEAR_MATCHES = '@matches'

/** The longest expression, in UTF-16 units. */
export const MAX_EXPRESSION_LENGTH = 4096

/** Compiled patterns that are kept: all of them are written in policies. */
const patterns = new Map<string, RE2JS>()

/** @throws an error that says what is wrong with the pattern */
export function compilePattern(pattern: string): RE2JS {
  const known = patterns.get(pattern)
  if (known !== undefined) return known
  const compiled = RE2JS.compile(pattern)
  patterns.set(pattern, compiled)
  return compiled
}

/** The Common Expression Language with our variables. Made once: expressions share it. */
export const LANGUAGE = createLanguage()

function createLanguage(): Environment {
  const environment = new Environment({
    homogeneousAggregateLiterals: false,
    limits: { maxAstNodes: 500, maxDepth: 50, maxListElements: 200, maxMapEntries: 50, maxCallArguments: 8 },
  })
  for (const [name, type] of VARIABLES) environment.registerVariable(name, type)
  environment.registerFunction({
    name: LINEAR_MATCHES,
    receiverType: 'string',
    returnType: 'bool',
    params: [{ name: 'pattern', type: 'string' }],
    handler: (text: string, pattern: string) => compilePattern(pattern).matcher(text).find(),
  })
  addMixedArithmetic(environment)
  return environment
}

/** Numbers of JSON are doubles: `arguments.limit + 1` is meant to work all the same. */
function addMixedArithmetic(environment: Environment): void {
  const operators: Readonly<Record<string, (a: number, b: number) => number>> = {
    '+': (a, b) => a + b,
    '-': (a, b) => a - b,
    '*': (a, b) => a * b,
    '/': (a, b) => a / b,
  }
  for (const [sign, apply] of Object.entries(operators)) {
    environment.registerOperator(`double ${sign} int`, (a: number, b: bigint) => apply(a, Number(b)))
    environment.registerOperator(`int ${sign} double`, (a: bigint, b: number) => apply(Number(a), b))
  }
}
