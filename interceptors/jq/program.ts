/** The longest filter, in bytes of UTF-8: all of them together travel as one argument, of which Linux takes 128 KiB. */
export const MAX_FILTER_BYTES = 100_000

/** The variables a filter can use. They travel with each message, as data. */
export const VARIABLES = ['client', 'server', 'tool', 'method'] as const

/** What a filter must not reach: other messages, the process, its environment, files. */
const FORBIDDEN = ['input', 'inputs', 'halt', 'halt_error', 'modulemeta']

/**
 * Stands before every filter and hides what would let one message reach another, or end the process: `input` reads the next
 * client's message, `halt` ends the service for all. Of `error(…)` one use is different: an object with `__jq` is jq's own
 * signal for `break`, which no `try` catches from 1.7 on, and which would leave a message without an answer until the
 * deadline. `error` without an argument must stay, because `break` itself is made of it.
 */
const PRELUDE = [
  'def error(message): message | if type == "object" and .__jq then "an object with __jq cannot be thrown" else . end | error;',
  ...FORBIDDEN.map(name => `def ${name}: "${name} is not available in a filter" | error;`),
  'def halt_error(code): halt_error;',
  'def debug: .;',
  'def debug(message): .;',
  'def stderr: .;',
  'def env: {};',
  'def input_line_number: 0;',
  'def input_filename: null;',
  'def get_search_list: [];',
  'def get_prog_origin: null;',
  'def get_jq_origin: null;',
].join('\n')

/** Filters as one: each sees what the one before it gave. A filter may end in a comment, so its bracket is on a new line. */
export function joinFilters(filters: readonly string[]): string {
  return filters.map(filter => `(${filter}\n)`).join(' | ')
}

/**
 * The program of a co-process. It reads lines `[number, [client, server, tool, method], [input, …]]` and writes for each one
 * line `[number, [outcome, …]]`, an outcome being `{"o": [output, …]}` or `{"e": error}`. To `null`, which asks whether it is
 * there, it answers `null`.
 */
export function wrap(filter: string): string {
  const names = VARIABLES.map(name => `$${name}`).join(', ')
  return `${PRELUDE}
if . == null then null else [.[0], (.[1] as [${names}] | {} as $ENV | [.[2][] | try {o: [${filter}
]} catch {e: .}])] end`
}

/** jq 1.6 knows no `--`: what starts with `-` would be read as an option. */
export function asArgument(program: string): string {
  return program.startsWith('-') ? ` ${program}` : program
}
