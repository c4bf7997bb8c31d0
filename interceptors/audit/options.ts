import { byteSize, duration, z } from '#api'

const rotation = z.strictObject({
  max_bytes: byteSize()
    .refine(bytes => bytes === 0 || bytes >= 64 * 1024, 'expected 64KiB or more; 0 = any size')
    .default(0)
    .describe('A file does not grow beyond this. 0 = any size.'),
  every: duration()
    .refine(ms => ms === 0 || ms >= 60_000, 'expected 1m or more; 0 = any time')
    .default(0)
    .describe('A new file for each such stretch of time, in UTC: `1d` = at midnight, `1h` = at each full hour.'),
  keep: z.int().min(0).max(100_000).default(0).describe('How many rotated files stay. 0 = all of them.'),
})

/** What a policy may say under `options:`. */
export const options = z.strictObject({
  path: z
    .string()
    .min(1)
    .default('stdout')
    .describe('File to append to, relative to the folder of the policy; or `stdout`, `stderr`.'),
  include: z
    .array(z.enum(['arguments', 'results']))
    .default([])
    .describe(
      '`arguments` of tools/call and prompts/get, `results` of tools/call, prompts/get and resources/read: without secrets.',
    ),
  max_value_bytes: byteSize()
    .refine(bytes => bytes >= 256 && bytes <= 256 * 1024, 'expected 256B to 256KiB')
    .default(16 * 1024)
    .describe('Arguments and results are cut to about this size; what was cut is said in its place.'),
  chain: z
    .boolean()
    .optional()
    .describe('Whether each line holds a hash over itself and the line before. Default: yes for a file, else no.'),
  chain_key: z
    .string()
    .min(16)
    .optional()
    .describe('Makes the hash an HMAC: who does not have this key cannot write history anew. Say `${NAME}`.'),
  rotate: rotation.optional().describe('When a file is put away and a new one begun. Default: never.'),
  max_buffer_bytes: z
    .int()
    .min(1024 * 1024)
    .max(1024 * 1024 * 1024)
    .default(16 * 1024 * 1024)
    .describe('Bytes of lines that may wait in memory for a slow or full disk.'),
  on_full: z
    .enum(['drop', 'block'])
    .default('drop')
    .describe('Beyond that: `drop` = lose lines and say how many; `block` = stop the process until they are written.'),
})

export type Options = z.infer<typeof options>
