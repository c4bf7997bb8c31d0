import type { z } from 'zod'

/** Keys of a server in `sluice.yaml` about servers that speak over stdio. */
export const bridgeKeys = {} satisfies Record<string, z.ZodType>
