import { globProblem, z } from '#api'
import { PII_KINDS } from './pii.ts'

const action = z.enum(['block', 'redact', 'report', 'off'])

/** What happens to a message in which a rule finds something. */
export type Action = z.infer<typeof action>

const globs = z.union([z.string().min(1), z.array(z.string().min(1)).min(1)]).check(context => {
  const patterns = typeof context.value === 'string' ? [context.value] : context.value
  for (const pattern of patterns) {
    const problem = globProblem(pattern)
    if (problem !== null) context.issues.push({ code: 'custom', message: problem, input: pattern })
  }
})

const allow = z
  .strictObject({
    rule: globs.optional().describe('Rules it is about, as globs. Default: all.'),
    path: globs.optional().describe('Places, as globs over paths such as `result.content.0.text`.'),
    tool: globs.optional().describe('Tools, prompts or resources, as globs over their names.'),
    sha256: z
      .union([z.string(), z.array(z.string()).min(1)])
      .optional()
      .describe('The value: SHA-256 of its UTF-8 text, 64 hexadecimal digits. One, or a list.'),
    fingerprint: z
      .union([z.string(), z.array(z.string()).min(1)])
      .optional()
      .describe('The value: its fingerprint as findings show it, 8 hexadecimal digits. Needs fingerprint_key.'),
    regex: z.string().min(1).max(1000).optional().describe('A pattern (RE2) that is found in the value.'),
    reason: z.string().optional().describe('Why; for those who read the policy.'),
  })
  .refine(entry => Object.keys(entry).some(key => key !== 'reason'), {
    message: 'an empty entry would allow everything: give rule, path, tool, sha256, fingerprint or regex',
  })

export const options = z.strictObject({
  to_server: action.default('block').describe('What a finding in a message towards the server does.'),
  to_client: action.default('redact').describe('What a finding in a message towards the client does.'),
  rules: z
    .record(
      z.string().min(1),
      z.union([action, z.strictObject({ to_server: action.optional(), to_client: action.optional() })]),
    )
    .default({})
    .describe('Exceptions by rule: an id or a glob over ids, and its action. The last one that fits counts.'),
  default_rules: z.boolean().default(true).describe('Whether the rules that come with Sluice are used.'),
  rules_file: z.string().min(1).optional().describe('A gitleaks configuration (TOML) with further rules.'),
  pii: z
    .union([z.boolean(), z.array(z.enum(PII_KINDS))])
    .default(false)
    .describe('Personal data to look for: `true` = all kinds, or a list.'),
  allow: z.array(allow).default([]).describe('What is no finding. All keys of an entry must fit.'),
  fingerprint_key: z
    .string()
    .min(16)
    .optional()
    .describe(
      'Key of the fingerprints, so that they are the same everywhere and always. Default: a new one each start.',
    ),
  max_verifications: z
    .int()
    .min(100)
    .max(10_000_000)
    .default(20_000)
    .describe('Patterns tried on one message before its scan is cut short.'),
  max_ms: z
    .number()
    .min(1)
    .max(10_000)
    .default(250)
    .describe('Milliseconds that the verification of one message may take before its scan is cut short.'),
})

export type Options = z.infer<typeof options>
export type AllowEntry = Options['allow'][number]
