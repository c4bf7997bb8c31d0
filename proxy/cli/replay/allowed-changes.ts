import { existsSync, writeFileSync } from 'node:fs'
import { stringify } from 'yaml'
import { z } from 'zod'
import { GlobList } from '../../api/index.ts'
import { LoadError } from '../../base/diagnostic.ts'
import { readYaml } from '../../base/read-yaml.ts'
import { validate } from '../../base/validate.ts'
import type { Finding } from './findings.ts'

const schema = z.strictObject({
  changes: z.array(
    z.strictObject({ entry: z.string(), tool: z.string().default('*'), change: z.string().default('*') }),
  ),
})

interface Rule {
  readonly text: string
  readonly entry: GlobList
  readonly tool: GlobList
  readonly change: string
}

const HEAD = `# Changes that \`sluice replay --allow-changes\` expects. entry and tool may be globs; change may be left out.
`

/** The changes that somebody has said may happen. */
export class AllowedChanges {
  readonly #rules: readonly Rule[]

  private constructor(rules: readonly Rule[]) {
    this.#rules = rules
  }

  /**
   * @param orNone whether a file that is not there is an empty one
   * @throws LoadError
   */
  static read(file: string, orNone: boolean): AllowedChanges {
    if (orNone && !existsSync(file)) return new AllowedChanges([])
    const source = readYaml(file, {})
    if (source.diagnostics.length > 0) throw new LoadError(source.diagnostics)
    const { value, diagnostics } = validate(source, schema)
    if (value === null) throw new LoadError(diagnostics)
    return new AllowedChanges(
      value.changes.map(({ entry, tool, change }) => ({
        text: `${entry} ${tool}${change === '*' ? '' : `: ${change}`}`,
        entry: new GlobList([entry]),
        tool: new GlobList([tool]),
        change,
      })),
    )
  }

  static none(): AllowedChanges {
    return new AllowedChanges([])
  }

  allows(finding: Finding): boolean {
    return this.#rules.some(rule => fits(rule, finding))
  }

  /** Rules that nothing fits. */
  unused(findings: readonly Finding[]): string[] {
    return this.#rules.filter(rule => !findings.some(finding => fits(rule, finding))).map(({ text }) => text)
  }
}

/** Writes a file that allows exactly these. */
export function writeAllowed(file: string, findings: readonly Finding[]): void {
  const changes = findings.map(({ entry, tool, change }) => ({ entry, tool, change }))
  writeFileSync(file, HEAD + stringify({ changes }))
}

function fits({ entry, tool, change }: Rule, finding: Finding): boolean {
  return entry.fits(finding.entry) && tool.fits(finding.tool) && (change === '*' || change === finding.change)
}
