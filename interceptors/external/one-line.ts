/** What the short form says: `before:exec:CMD`, `after:docker:IMAGE ARGS`, `before:http:URL`. */
export interface OneLine {
  readonly when: 'before' | 'after'
  readonly kind: 'exec' | 'http' | 'docker'
  readonly argument: string
}

/** @returns `null` when it is not of that form */
export function readOneLine(text: string): OneLine | null {
  const [, when, kind, argument] = /^(before|after):(exec|http|docker):(.*\S.*)$/is.exec(text) ?? []
  if (when === undefined || kind === undefined || argument === undefined) return null
  return { when: when.toLowerCase(), kind: kind.toLowerCase(), argument: argument.trim() } as OneLine
}
