/** Words that say: this is an example, or a gap to be filled. */
const PLACEHOLDER =
  /example|changeme|change[_-]me|placeholder|redacted|dummy|insert[_-]|your[_-]?(?:api|secret|token|key|pass)|my[_-]?(?:api|secret|token|pass)|xxxxx|\*\*\*|\.\.\.|00000000|aaaaaaaa|<[^>]*>|\$\{|\{\{|\$\(/i

/** A value that is fetched, not stated: `$PASSWORD`, `%TOKEN%`, `process.env.KEY`. */
const REFERENCE = /^(?:\$[A-Za-z_]|%[A-Za-z_]+%?|process\.|os\.|env[.:]|config\.|secrets?\.|var\.|vault:|op:\/\/|@|&)/i

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** Words and small numbers with marks between them. The alternatives of a segment exclude each other: no backtracking. */
const SLUG =
  /^(?:[A-Z]?[a-z]{1,14}\d{0,2}|[A-Z]{1,14}|\d{1,4})(?:[-_./](?:[A-Z]?[a-z]{1,14}\d{0,2}|[A-Z]{1,14}|\d{1,4}))+$/
const PATH = /^(?:\.{0,2}\/|~\/|[A-Za-z]:)|\.(?:json|ya?ml|txt|pem|crt|key|png|jpe?g|js|ts|py|go|html?|md|csv|log)$/i

/** A member of something: `config.password`, `user::token`. */
const MEMBER = /^[A-Za-z_$][\w$]*(?:(?:\?\.|::|->)[A-Za-z_$][\w$]*)+$/

/** Shannon's entropy of a text, in bits a character: 0 for `aaaa`, about 4 for random hexadecimal digits. */
export function entropyOf(text: string): number {
  COUNTS.fill(0)
  for (let i = 0; i < text.length; i++)
    COUNTS[text.charCodeAt(i) & 0xff] = (COUNTS[text.charCodeAt(i) & 0xff] as number) + 1
  let entropy = 0
  for (const count of COUNTS) if (count > 0) entropy -= (count / text.length) * Math.log2(count / text.length)
  return entropy
}

/** How often each character occurs; secrets are ASCII. */
const COUNTS = new Uint32Array(256)

/** Whether the text says of itself that it stands for something else. */
export function isPlaceholder(text: string): boolean {
  return PLACEHOLDER.test(text)
}

/** Whether an assigned value could be a secret at all: it holds a letter and something that is none, and is stated. */
export function isStated(value: string): boolean {
  return /[A-Za-z]/.test(value) && /[^A-Za-z]/.test(value) && !REFERENCE.test(value)
}

/** Whether a value is made of words, a path or an id, which names like `token` hold as often as secrets. */
export function isOrdinary(value: string): boolean {
  return !/\d/.test(value) || UUID.test(value) || SLUG.test(value) || PATH.test(value) || MEMBER.test(value)
}

/** Whether a value could be a password: not the name of a variable or a member, and not words alone. */
export function isPasswordLike(value: string): boolean {
  return /[\d!@#$%^&*+?~]/.test(value) && !MEMBER.test(value) && !PATH.test(value)
}
