/** Size of the request body and of the answer body, in bytes. */
export const BODY_BYTES = 300

const TOOL = 'echo'

/** A modern `tools/call` of exactly `BODY_BYTES` bytes. */
export const requestBody: Buffer = padded(text => ({
  jsonrpc: '2.0',
  id: 1,
  method: 'tools/call',
  params: {
    name: TOOL,
    arguments: { text },
    _meta: {
      'io.modelcontextprotocol/protocolVersion': '2026-07-28',
      'io.modelcontextprotocol/clientInfo': { name: 'bench', version: '1' },
      'io.modelcontextprotocol/clientCapabilities': {},
    },
  },
}))

/** Its answer, also exactly `BODY_BYTES` bytes. */
export const answerBody: Buffer = padded(text => ({
  jsonrpc: '2.0',
  id: 1,
  result: { content: [{ type: 'text', text }], isError: false, resultType: 'complete' },
}))

/** What a client of the 2026-07-28 revision sends with it (without Host and Content-Length). */
export const requestHeaders: Readonly<Record<string, string>> = {
  'Content-Type': 'application/json',
  Accept: 'application/json, text/event-stream',
  'MCP-Protocol-Version': '2026-07-28',
  'Mcp-Method': 'tools/call',
  'Mcp-Name': TOOL,
}

function padded(build: (text: string) => object): Buffer {
  const bare = Buffer.byteLength(JSON.stringify(build('')))
  if (bare > BODY_BYTES) throw new Error(`the body is ${bare} bytes before padding, the limit is ${BODY_BYTES}`)
  return Buffer.from(JSON.stringify(build('x'.repeat(BODY_BYTES - bare))))
}
