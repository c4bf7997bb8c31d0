/** Size of the small request and of its answer, in bytes. */
export const BODY_BYTES = 300
/** Size of the large answer, in bytes. */
export const LARGE_BYTES = 20 * 1024

/** What is asked of a system again and again, and what it must answer. */
export interface Workload {
  readonly name: string
  readonly tool: string
  readonly requestBody: Buffer
  /** What a client of the 2026-07-28 revision sends with it (without Host and Content-Length). */
  readonly requestHeaders: Readonly<Record<string, string>>
  readonly answerBody: Buffer
}

/** Ordinary text: words, figures, a link. */
const ORDINARY = [
  'The build of main passed after 42 minutes; three tests were skipped, as the staging server was busy.',
  'Start with the overview of the storage layer, then read how indexes are kept up to date (chapter 4).',
  'See https://wiki.example.com/runbooks/deploy-2 for the steps, and ask on-call before you restart it.',
  'Memory grows by 12 MB an hour under load (v2.14.1, Debian 12); a heap snapshot is attached.',
  'Each region has its own queue, so that a slow consumer in one of them never holds up the others.',
  'If the disk is nearly full, remove old snapshots first: they can be made again from the archive.',
]

/** Text of which two sentences in three have a scanner for secrets think twice. */
const NEAR_MISSES = [
  'The build of main passed after 42 minutes; three tests were skipped, as the staging server was busy.',
  'Login fails when the session token has expired and the page is opened in a second tab.',
  'See https://wiki.example.com/runbooks/deploy-2 for the steps, and ask on-call before you restart it.',
  'Steps to reproduce: open the settings, choose "API keys", press Delete, then go back with the browser.',
  'Memory grows by 12 MB an hour under load (v2.14.1, Debian 12); a heap snapshot is attached.',
  'Could we make the password field accept 64 characters, and say so in the hint below it?',
]

/** `length` ASCII characters of it, the same ones each time. */
function prose(length: number, from = 0, sentences: readonly string[] = NEAR_MISSES): string {
  let text = ''
  for (let i = from; text.length < length; i++) text += `${text === '' ? '' : ' '}${sentences[i % sentences.length]}`
  return text.slice(0, length)
}

const ECHO = 'echo'
const LIST = 'list_issues'
const READ = 'read_page'

/** A `tools/call` of exactly 300 bytes, answered by exactly 300. */
export const small: Workload = {
  name: `${BODY_BYTES} B`,
  tool: ECHO,
  requestBody: padded(BODY_BYTES, size => call(ECHO, { text: plain(size) })),
  requestHeaders: headers(ECHO),
  answerBody: padded(BODY_BYTES, size => answer(plain(size), { ok: true, lines: 3 })),
}

/** A short `tools/call`, answered by 20 KiB: a page of text, and a few words about it as `structuredContent`. */
export const page: Workload = {
  name: `${LARGE_BYTES / 1024} KB text`,
  tool: READ,
  requestBody: padded(BODY_BYTES, size => call(READ, { path: plain(size) })),
  requestHeaders: headers(READ),
  answerBody: padded(LARGE_BYTES, size => answer(prose(size, 0, ORDINARY), { title: 'Runbook', lines: 240 })),
}

/** A short `tools/call`, answered by 20 KiB of records full of near misses: issues as `structuredContent`, and again as text. */
export const records: Workload = {
  name: `${LARGE_BYTES / 1024} KB records`,
  tool: LIST,
  requestBody: padded(BODY_BYTES, size => call(LIST, { query: plain(size) })),
  requestHeaders: headers(LIST),
  answerBody: recordsAnswer(),
}

/** All of them. */
export const workloads: readonly Workload[] = [small, page, records]

/** What the upstream says of its tools: `schema` has something to check both ways. */
export const toolList = [
  {
    name: ECHO,
    description: 'Says what it was told.',
    inputSchema: objectOf({ text: { type: 'string', maxLength: 10_000 } }, ['text']),
    outputSchema: objectOf({ ok: { type: 'boolean' }, lines: { type: 'integer', minimum: 0 } }, ['ok']),
  },
  {
    name: READ,
    description: 'Reads a page of the wiki.',
    inputSchema: objectOf({ path: { type: 'string', minLength: 1 } }, ['path']),
    outputSchema: objectOf({ title: { type: 'string' }, lines: { type: 'integer' } }, ['title']),
  },
  {
    name: LIST,
    description: 'Lists the issues of a project.',
    inputSchema: objectOf({ query: { type: 'string', minLength: 1 } }, ['query']),
    outputSchema: objectOf({ total: { type: 'integer' }, issues: { type: 'array', items: issueSchema() } }, ['issues']),
  },
]

function headers(tool: string): Readonly<Record<string, string>> {
  return {
    'Content-Type': 'application/json',
    Accept: 'application/json, text/event-stream',
    'MCP-Protocol-Version': '2026-07-28',
    'Mcp-Method': 'tools/call',
    'Mcp-Name': tool,
  }
}

function call(name: string, args: object): object {
  const meta = {
    'io.modelcontextprotocol/protocolVersion': '2026-07-28',
    'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
    'io.modelcontextprotocol/clientCapabilities': {},
  }
  return { jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name, arguments: args, _meta: meta } }
}

function answer(text: string, structuredContent: object): object {
  const result = { content: [{ type: 'text', text }], structuredContent, isError: false, resultType: 'complete' }
  return { jsonrpc: '2.0', id: 1, result }
}

function recordsAnswer(): Buffer {
  const issues = Array.from({ length: 24 }, (_, i) => issue(i))
  return padded(LARGE_BYTES, size => {
    const structured = { total: issues.length, issues: [...issues, { ...issue(issues.length), body: plain(size) }] }
    return answer(JSON.stringify({ total: issues.length, issues }), structured)
  })
}

function issue(n: number): Record<string, unknown> {
  return {
    number: 1042 + n,
    title: prose(40 + ((n * 7) % 30), n),
    state: n % 3 === 0 ? 'closed' : 'open',
    author: ['ada', 'grace', 'linus', 'margaret'][n % 4],
    url: `https://git.example.com/team/portal/issues/${1042 + n}`,
    created_at: `2026-0${1 + (n % 9)}-1${n % 10}T0${n % 10}:15:00Z`,
    labels: n % 2 === 0 ? ['bug', 'ui'] : ['question'],
    body: prose(60 + ((n * 31) % 150), n + 3),
  }
}

function issueSchema(): object {
  const text = { type: 'string' }
  const state = { type: 'string', enum: ['open', 'closed'] }
  const labels = { type: 'array', items: text }
  const all = { number: { type: 'integer' }, title: text, state, author: text, url: text, created_at: text, labels }
  return objectOf({ ...all, body: text }, ['number', 'title', 'state'])
}

function objectOf(properties: object, required: readonly string[]): object {
  return { type: 'object', properties, required, additionalProperties: false }
}

/** Without what JSON escapes, so that a character is a byte. */
function plain(length: number): string {
  return prose(length).replaceAll('"', "'")
}

function padded(bytes: number, build: (size: number) => object): Buffer {
  const bare = Buffer.byteLength(JSON.stringify(build(0)))
  if (bare > bytes) throw new Error(`the body is ${bare} bytes before padding, the limit is ${bytes}`)
  return Buffer.from(JSON.stringify(build(bytes - bare)))
}
