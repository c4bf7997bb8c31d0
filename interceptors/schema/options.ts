import { byteSize, duration, z } from '#api'

const KIB = 1024

const pins = z.strictObject({
  file: z.string().min(1).describe('Lock file that `sluice tools pin` wrote, relative to the folder of the policy.'),
  on_change: z
    .enum(['block', 'report'])
    .default('block')
    .describe(
      'A pinned tool whose description or schema is not what it was: `block` = refuse its calls and take it out of `tools/list`; `report` = say so.',
    ),
  new_tools: z
    .enum(['allow', 'report', 'block'])
    .default('report')
    .describe('Tools that the lock file does not name: as `on_change`, or `allow`.'),
})

export const options = z.strictObject({
  unknown_tools: z
    .enum(['deny', 'report', 'off'])
    .default('deny')
    .describe(
      'A call of a tool that the server does not list: refuse it with the tools there are, say so, or neither.',
    ),
  arguments: z
    .enum(['deny', 'report', 'off'])
    .default('deny')
    .describe("Arguments that do not fit the tool's `inputSchema`: refuse the call, say so, or do not look."),
  results: z
    .enum(['deny', 'report', 'off'])
    .default('report')
    .describe(
      "`structuredContent` that does not fit the tool's `outputSchema`: refuse the result, say so, or do not look.",
    ),
  unusable_schemas: z
    .enum(['deny', 'report'])
    .default('deny')
    .describe(
      'A schema that nothing can be checked against (unknown dialect, remote `$ref`, malformed, beyond the limits): treat the call or result as one that does not fit, or say so.',
    ),
  unsupported_patterns: z
    .enum(['skip', 'deny'])
    .default('skip')
    .describe(
      'A `pattern` that needs look-around or back references: leave it unchecked, or take the schema as unusable.',
    ),
  coerce: z
    .boolean()
    .default(false)
    .describe('Turn the text "5" into 5, and "true" into true, where the schema wants a number or a boolean.'),
  max_age: duration()
    .default(600_000)
    .describe('How long a list of tools is trusted, unless the server says less (`ttlMs`), such as 10m.'),
  max_schema_bytes: byteSize()
    .default(256 * KIB)
    .describe('A larger schema is unusable.'),
  max_schema_depth: z.int().min(1).max(500).default(64).describe('One that is nested deeper is unusable.'),
  max_schema_nodes: z
    .int()
    .min(1)
    .max(20_000)
    .default(1000)
    .describe('One of more schemas within schemas is unusable; each costs up to 0.3 ms, once, to compile.'),
  pins: pins.optional().describe('Tools as they were when somebody looked at them.'),
})

export type Options = z.infer<typeof options>
export type PinOptions = z.infer<typeof pins>
