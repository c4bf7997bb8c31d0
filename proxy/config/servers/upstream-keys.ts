import type { z } from 'zod'

/** Keys of a server in `sluice.yaml` about how requests are spread over its replicas and guarded. */
export const upstreamKeys = {} satisfies Record<string, z.ZodType>
