import type { z } from 'zod'

/** Keys of a server in `sluice.yaml` about where replicas come from and how they live. */
export const sourceKeys = {} satisfies Record<string, z.ZodType>
