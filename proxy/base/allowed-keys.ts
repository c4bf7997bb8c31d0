import type { z } from 'zod'
import type { Path } from './yaml-source.ts'

interface Definition {
  readonly type: string
  readonly shape?: Readonly<Record<string, z.ZodType>>
  readonly catchall?: z.ZodType
  readonly innerType?: z.ZodType
  readonly in?: z.ZodType
  readonly options?: readonly z.ZodType[]
  readonly valueType?: z.ZodType
  readonly element?: z.ZodType
  readonly left?: z.ZodType
  readonly right?: z.ZodType
  readonly getter?: () => z.ZodType
}

/** The keys a schema knows at a path; empty where it knows none. */
export function allowedKeys(schema: z.ZodType, path: Path): string[] {
  let candidates = unwrap(schema)
  for (const key of path) candidates = candidates.flatMap(candidate => step(candidate, key))
  return candidates.flatMap(candidate => Object.keys(definition(candidate).shape ?? {}))
}

function step(schema: z.ZodType, key: string | number): z.ZodType[] {
  const { type, shape, catchall, valueType, element } = definition(schema)
  const other = type === 'record' ? valueType : type === 'array' ? element : undefined
  const next = type === 'object' ? (shape?.[key] ?? catchall) : other
  return next === undefined ? [] : unwrap(next)
}

/** Through defaults, pipes, unions and the like, to what may hold keys. */
function unwrap(schema: z.ZodType): z.ZodType[] {
  const { innerType, in: input, options, left, right, getter } = definition(schema)
  if (innerType !== undefined) return unwrap(innerType)
  if (input !== undefined) return unwrap(input)
  if (options !== undefined) return options.flatMap(unwrap)
  if (left !== undefined && right !== undefined) return [...unwrap(left), ...unwrap(right)]
  if (getter !== undefined) return unwrap(getter())
  return [schema]
}

function definition(schema: z.ZodType): Definition {
  return schema.def as unknown as Definition
}
