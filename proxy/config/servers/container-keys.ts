import type { z } from 'zod'

/** Keys of a server in `sluice.yaml` about the containers of an image. */
export const containerKeys = {} satisfies Record<string, z.ZodType>
