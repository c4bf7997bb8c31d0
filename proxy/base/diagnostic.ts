/** Something wrong, or odd, in a file that a person wrote. */
export interface Diagnostic {
  /** As the user named it, or absolute; `<arguments>` for what came from the command line. */
  readonly file: string
  /** From 1; 0 when it concerns the whole file. */
  readonly line: number
  /** From 1, in UTF-16 units; 0 when it concerns the whole line or file. */
  readonly column: number
  readonly severity: 'error' | 'warning'
  /** What is wrong, what was expected and what to do; without file and position. Never a secret. */
  readonly text: string
}

/** `policies/default.yaml:12:7: unknown key "lsiten"`; parts that are 0 are left out. */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const { file, line, column, severity, text } = diagnostic
  const place = line === 0 ? file : column === 0 ? `${file}:${line}` : `${file}:${line}:${column}`
  return `${place}: ${severity === 'warning' ? 'warning: ' : ''}${text}`
}

/** By place within each file; files keep the order they came in. */
export function inOrder(diagnostics: readonly Diagnostic[]): Diagnostic[] {
  const files = [...new Set(diagnostics.map(diagnostic => diagnostic.file))]
  return [...diagnostics].sort(
    (a, b) => files.indexOf(a.file) - files.indexOf(b.file) || a.line - b.line || a.column - b.column,
  )
}

/** Files that cannot be taken into use. Holds every problem found, not just the first. */
export class LoadError extends Error {
  readonly diagnostics: readonly Diagnostic[]

  constructor(diagnostics: readonly Diagnostic[]) {
    super(diagnostics.map(formatDiagnostic).join('\n'))
    this.name = 'LoadError'
    this.diagnostics = diagnostics
  }
}
