const rawJson = (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON

/**
 * The JSON text of a value that has no source text. As `JSON.stringify`, but an infinite number, which can only have
 * been read from one too large for a double, stays such a number instead of becoming null.
 */
export function jsonText(value: unknown): string {
  return JSON.stringify(value, keepHuge) ?? 'null'
}

function keepHuge(_key: string, value: unknown): unknown {
  if (value === Number.POSITIVE_INFINITY) return rawJson('1e999')
  return value === Number.NEGATIVE_INFINITY ? rawJson('-1e999') : value
}
