import { z } from 'zod'
import { byteSize } from '../api/units.ts'
import type { ShadowConfig } from './config.ts'

const MAX_CPU = 0.1
const SAMPLE = 1
const MAX_QUEUE = 1000
const MAX_BYTES = 64 * 1024 * 1024
const PERCENT = /^(\d+(?:\.\d+)?)\s*%$/

/** `10%`, read into 0.1. */
const percent = z
  .string({ error: 'expected a percentage such as 10%' })
  .meta({ pattern: PERCENT.source, examples: ['10%'] })
  .transform((text, context) => {
    const share = Number(PERCENT.exec(text)?.[1] ?? Number.NaN) / 100
    if (share > 0 && share <= 1) return share
    context.addIssue({ code: 'custom', message: 'expected a percentage above 0% and up to 100%, such as 10%' })
    return z.NEVER
  })

const file = z.string().min(1)

/** One policy file, or several in order. */
export const shadowPolicies = z.union([file, z.array(file).min(1)], {
  error: 'expected a policy file, or a list of them',
})

export const shadowSchema = z.strictObject({
  policies: shadowPolicies,
  max_cpu: percent.default(MAX_CPU).meta({ description: 'of one processor, in each process' }),
  sample: percent.default(SAMPLE).meta({ description: 'share of the exchanges' }),
  max_queue: z.number().int().min(1).max(100_000).default(MAX_QUEUE),
  max_bytes: byteSize().default(MAX_BYTES),
})

interface Raw {
  readonly shadow?: z.infer<typeof shadowSchema> | undefined
  readonly shadow_policy?: z.infer<typeof shadowPolicies> | undefined
}

/** `shadow:`, or its short form `shadow_policy: FILE`. */
export function resolveShadow(
  { shadow, shadow_policy: short }: Raw,
  absolute: (path: string) => string,
): ShadowConfig | null {
  const policies = shadow?.policies ?? short
  if (policies === undefined) return null
  return Object.freeze({
    policies: [policies].flat().map(absolute),
    maxCpu: shadow?.max_cpu ?? MAX_CPU,
    sample: shadow?.sample ?? SAMPLE,
    maxQueue: shadow?.max_queue ?? MAX_QUEUE,
    maxBytes: shadow?.max_bytes ?? MAX_BYTES,
  })
}
