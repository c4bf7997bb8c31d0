import type { z } from 'zod'
import type { Diagnostic } from './diagnostic.ts'

export type Path = readonly (string | number)[]

/** A YAML file, or a part of one, with the place of every value. */
export class YamlSource {
  readonly file: string
  /** The content as plain data, environment references expanded. */
  readonly value: unknown
  /** Problems of syntax and references. */
  readonly diagnostics: readonly Diagnostic[]

  constructor(file: string, value: unknown, diagnostics: readonly Diagnostic[]) {
    this.file = file
    this.value = value
    this.diagnostics = diagnostics
  }

  /** A problem at a path. @param at whether to point at the key or at the value */
  diagnostic(_path: Path, text: string, _at: 'key' | 'value' = 'value', severity: 'error' | 'warning' = 'error'): Diagnostic {
    return { file: this.file, line: 0, column: 0, severity, text }
  }

  /** The same file, seen from a value within it. */
  sub(_path: Path): YamlSource {
    throw new Error('not yet')
  }
}

/** Reads a file. Never throws: what is wrong stands in `diagnostics`. */
export function readYaml(file: string, _env: NodeJS.ProcessEnv): YamlSource {
  return new YamlSource(file, null, [])
}

/** Text as if it stood in a file. */
export function parseYaml(_text: string, file: string, _env: NodeJS.ProcessEnv): YamlSource {
  return new YamlSource(file, null, [])
}

/** Checks a source by a schema. */
export function validate<O>(_source: YamlSource, _schema: z.ZodType<O>): { value: O | null; diagnostics: Diagnostic[] } {
  throw new Error('not yet')
}
