import { z } from '#api'

const path = z
  .string()
  .max(256)
  .refine(text => !/(^|\.)(\.|$)/.test(text) || text === '', {
    error: 'expected names with dots between them, such as user.name',
  })

const column = z.union([
  path.min(1),
  z.strictObject({
    path: path.min(1).describe('Where the value is: `id`, `user.name`.'),
    header: z.string().max(256).optional().describe('The name in the header line. Default: the path.'),
  }),
])

export const options = z.strictObject({
  to: z
    .enum(['csv', 'json'])
    .default('csv')
    .describe('`csv`: arrays of objects become CSV; `json`: CSV becomes an array of objects.'),
  delimiter: z
    .string()
    .regex(/^[^"\r\n]$/, { error: 'expected one character, and no quote or line break' })
    .default(',')
    .describe('What stands between the cells.'),
  header: z.boolean().default(true).describe('Whether the first line names the columns.'),
  max_rows: z.int().min(1).optional().describe('Most rows; a note says how many were left out. Default: all.'),
  missing: z
    .enum(['pass', 'fail'])
    .default('pass')
    .describe('A result without such data: `pass` = it goes on as it is, `fail` = by on_failure.'),
  rows: path
    .optional()
    .describe(
      'to csv: where the array is, such as `data.items`; `""` = the value itself. Default: the value, or its only array of objects.',
    ),
  columns: z
    .array(column)
    .min(1)
    .max(1000)
    .optional()
    .describe('to csv: which columns, and in which order. Default: every member of a row, as they come.'),
  max_columns: z.int().min(1).max(1000).default(100).describe('to csv: a table with more columns stays JSON.'),
  rest: z
    .enum(['keep', 'drop'])
    .default('keep')
    .describe('to csv: what stands beside the array: `keep` = as JSON before the table, `drop` = gone.'),
  line_end: z.enum(['crlf', 'lf']).default('crlf').describe('to csv: how lines end; RFC 4180 says CRLF.'),
  guard_formulas: z
    .boolean()
    .default(true)
    .describe("to csv: text that a spreadsheet would take for a formula gets a ' before it."),
  structured: z
    .enum(['remove', 'keep'])
    .default('remove')
    .describe('to csv: what becomes of structuredContent, and of the outputSchema in tools/list.'),
  numbers: z
    .boolean()
    .default(false)
    .describe('to json: cells that are JSON numbers, true or false become such values.'),
})

export type Options = z.infer<typeof options>
