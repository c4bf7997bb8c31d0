import { once } from 'node:events'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Scope } from './scope.ts'

/** A question as a token endpoint got it. */
export interface TokenQuestion {
  readonly method: string
  readonly headers: http.IncomingHttpHeaders
  readonly text: string
  /** The body, JSON or form. */
  readonly fields: Readonly<Record<string, string>>
}

/** Status, body (JSON unless text) and header fields of an answer; a promise holds it back. */
export interface TokenReply {
  readonly status?: number
  readonly body: object | string
  readonly headers?: Record<string, string>
}

export type TokenScript = (question: TokenQuestion, index: number) => TokenReply | Promise<TokenReply>

export interface TokenEndpoint {
  readonly url: string
  readonly questions: readonly TokenQuestion[]
  /** Answers from now on. */
  script: TokenScript
}

/** A token endpoint on a free port of 127.0.0.1. */
export async function startTokenEndpoint(scope: Scope, script: TokenScript): Promise<TokenEndpoint> {
  const questions: TokenQuestion[] = []
  const server = http.createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', async () => {
      const text = Buffer.concat(chunks).toString()
      const { method = '', headers } = request
      const isJson = headers['content-type'] === 'application/json'
      const fields = isJson ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text))
      const question = { method, headers, text, fields }
      questions.push(question)
      const reply = await endpoint.script(question, questions.length - 1)
      response.writeHead(reply.status ?? 200, { 'content-type': 'application/json', ...reply.headers })
      response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  scope.after(() => {
    server.closeAllConnections()
    server.close()
  })
  const { port } = server.address() as AddressInfo
  const endpoint: TokenEndpoint = { url: `http://127.0.0.1:${port}/token`, questions, script }
  return endpoint
}
