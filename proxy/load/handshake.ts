import { request } from 'undici'
import { LEGACY, MODERN, RequestMaker } from './request-maker.ts'

const LIMIT_MS = 30_000
/** How many sessions are opened or closed at a time. */
const AT_ONCE = 16

/** The server cannot be load-tested: it did not answer as an MCP server does. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError'
}

/** Asks a server which era it speaks: modern if `server/discover` succeeds, else legacy. */
export async function detectEra(url: URL, headers: Readonly<Record<string, string>>): Promise<'modern' | 'legacy'> {
  const maker = new RequestMaker('modern', headers)
  const params = { _meta: maker.meta() }
  const { status, text } = await post(url, maker.headers('server/discover', '', ''), {
    jsonrpc: '2.0',
    id: 1,
    method: 'server/discover',
    params,
  })
  return status === 200 && text.includes(MODERN) && text.includes('"result"') ? 'modern' : 'legacy'
}

/**
 * Opens sessions of a legacy server; a server without sessions gives `''` for each.
 * @throws HandshakeError when `initialize` fails
 */
export async function openSessions(url: URL, maker: RequestMaker, count: number): Promise<string[]> {
  const sessions: string[] = []
  for (let done = 0; done < count; done += AT_ONCE) {
    const some = Array.from({ length: Math.min(AT_ONCE, count - done) }, () => openSession(url, maker))
    sessions.push(...(await Promise.all(some)))
  }
  return sessions
}

async function openSession(url: URL, maker: RequestMaker): Promise<string> {
  const answer = await post(url, maker.headers('initialize', '', ''), {
    jsonrpc: '2.0',
    id: 0,
    method: 'initialize',
    params: maker.initialize(),
  })
  if (answer.status !== 200 || !answer.text.includes('"result"')) {
    const said = answer.text.slice(0, 300).replaceAll(/\s+/g, ' ')
    throw new HandshakeError(`initialize (${LEGACY}) was answered with status ${answer.status}: ${said}`)
  }
  const note = maker.notification('notifications/initialized', answer.session)
  await post(url, note.headers, note.body)
  return answer.session
}

export async function closeSessions(url: URL, maker: RequestMaker, sessions: readonly string[]): Promise<void> {
  const open = sessions.filter(session => session !== '')
  for (let done = 0; done < open.length; done += AT_ONCE) {
    const some = open.slice(done, done + AT_ONCE)
    // A server may refuse to end sessions, or be gone: the run is over in any case.
    await Promise.allSettled(some.map(session => end(url, maker.headers('', '', session))))
  }
}

async function end(url: URL, headers: string[]): Promise<void> {
  const { body } = await request(url, { method: 'DELETE', headers, signal: AbortSignal.timeout(LIMIT_MS) })
  await body.dump()
}

interface Answer {
  readonly status: number
  readonly text: string
  readonly session: string
}

async function post(url: URL, headers: string[], message: object | Buffer): Promise<Answer> {
  try {
    const {
      statusCode,
      headers: fields,
      body,
    } = await request(url, {
      method: 'POST',
      headers,
      body: Buffer.isBuffer(message) ? message : JSON.stringify(message),
      signal: AbortSignal.timeout(LIMIT_MS),
    })
    const session = fields['mcp-session-id']
    return { status: statusCode, text: await body.text(), session: typeof session === 'string' ? session : '' }
  } catch (error) {
    const { code, message: text } = error as NodeJS.ErrnoException
    throw new HandshakeError(`${url.origin} cannot be asked: ${code ?? text}`, { cause: error })
  }
}
