const TYPE = '(?:null|boolean|number|string|array|object)'

/** What jq itself says, as far as it names no value. */
const KNOWN = [
  new RegExp(`^Cannot iterate over ${TYPE}`),
  new RegExp(`^Cannot index ${TYPE} with ${TYPE}`),
  new RegExp(`^Cannot index ${TYPE}(?= with ")`),
  new RegExp(`^${TYPE} (?=\\()`),
]

/**
 * Words for an error of a filter that hold nothing of the message: jq quotes values in its errors (`Cannot index number with
 * "…"`), and a filter may throw any of them. Texts of the filter's author are left out too, because nothing tells them
 * from values.
 */
export function describeError(error: unknown): string {
  if (typeof error !== 'string') return 'the filter threw a value that is no text'
  for (const pattern of KNOWN) {
    const found = pattern.exec(error)?.[0].trim()
    if (found === undefined) continue
    return found.includes(' ') ? found : `an operation cannot take this ${found}`
  }
  return 'the filter threw an error'
}
