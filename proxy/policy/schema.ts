import { z } from 'zod'
import { globProblem } from '../api/index.ts'
import { byteSize, duration } from '../api/units.ts'
import { testSchema } from './test-schema.ts'
import { VARIABLES } from './when/variables.ts'

const ENTRY_NAME = /^[A-Za-z0-9][A-Za-z0-9._#-]*$/
const RATE = /^[1-9]\d{0,8}\s*\/\s*(?:second|minute|hour|day)$/

/** A glob, or `!` and a glob. */
const pattern = z.string().superRefine((text, context) => {
  const problem = globProblem(text)
  if (problem !== null) context.addIssue({ code: 'custom', message: problem })
})

const patterns = z.union([pattern, z.array(pattern).min(1)]).meta({
  description: 'a glob or a list of globs: * any characters, ? one, {a,b} either, [a-z] a range, ! before it: not',
})

const match = z.strictObject({
  server: patterns.optional(),
  method: patterns.optional(),
  name: patterns.optional(),
  client: patterns.optional(),
  direction: z
    .enum(['to_server', 'to_client'])
    .optional()
    .meta({ description: 'which way the message travels; default: both' }),
})

const chainEntry = z.strictObject({
  use: z.string().min(1),
  name: z.string().regex(ENTRY_NAME, { error: 'expected a name of letters, digits and . _ # -' }).optional(),
  match: match.optional(),
  when: z
    .string()
    .min(1)
    .optional()
    .meta({
      description: `a CEL expression: the entry runs only where it is true. Variables: ${VARIABLES.map(([name]) => name).join(', ')}`,
    }),
  options: z.record(z.string(), z.unknown()).nullable().optional(),
  mode: z
    .union([z.enum(['enforce', 'shadow', 'off']), z.literal(false).transform(() => 'off' as const)])
    .default('enforce'),
  on_failure: z.enum(['open', 'closed']).optional(),
  timeout: duration()
    .refine(ms => ms >= 1, { error: 'expected at least 1ms' })
    .optional(),
  max_bytes: byteSize().optional(),
  too_big: z.enum(['skip', 'deny']).optional(),
  answer: z.enum(['auto', 'result', 'error']).default('auto'),
})

/** An interceptor's bare name is short for `{ use: name }`. */
const chainItem = z.union([z.string().min(1), chainEntry], {
  error: ({ input }) => {
    const mapping = typeof input === 'object' && input !== null && !Array.isArray(input)
    return mapping ? undefined : 'expected the name of an interceptor, or a mapping with "use"'
  },
})

const rules = z.strictObject({
  allowed_servers: z.array(pattern).optional(),
  allowed_tools: z.record(z.string(), z.array(pattern)).optional(),
  rate_limit: z.string().regex(RATE, { error: 'expected a rate such as 100/minute' }).optional(),
  rate_limits: z
    .strictObject({
      requests_per_minute: z.number().int().min(1).optional(),
      tokens_per_day: z.number().int().min(1).optional(),
    })
    .optional(),
})

export const accessControlSchema = z.strictObject({
  enabled: z.boolean().default(true),
  default_policy: z.enum(['allow', 'deny']).optional().meta({ description: 'default: deny' }),
  clients: z.record(z.string().min(1), rules.nullable()).default({}),
})

/** One policy file, or `policy:` in `sluice.yaml`. */
export const policySchema = z.strictObject({
  $schema: z.string().optional(),
  version: z.literal(1).default(1),
  include: z
    .union([
      z
        .string()
        .min(1)
        .transform(file => [file]),
      z.array(z.string().min(1)),
    ])
    .default([]),
  access_control: accessControlSchema.nullable().optional(),
  interceptors: z.array(chainItem).nullable().default([]),
  tests: z.array(testSchema).nullable().optional().meta({ description: 'cases for `sluice test`' }),
})

export type RawPolicy = z.infer<typeof policySchema>
export type RawAccessControl = z.infer<typeof accessControlSchema>
export type RawClientRules = z.infer<typeof rules>
export type RawChainEntry = z.infer<typeof chainEntry>
