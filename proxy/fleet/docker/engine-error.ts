/**
 * Why the engine did not do something: `gone` = it cannot be reached, `forbidden` = we may not ask it, `timeout` = it gave
 * no answer in time, `missing` = no such container, image or network, `conflict` = the name is taken or the state does not
 * allow it, `unchanged` = it is so already, `refused` = anything else it said.
 */
export type EngineTrouble = 'gone' | 'forbidden' | 'timeout' | 'missing' | 'conflict' | 'unchanged' | 'refused'

/** A call of the engine that failed. The message is one sentence for people. */
export class EngineError extends Error {
  readonly trouble: EngineTrouble
  /** HTTP status of its answer; 0 = none came. */
  readonly status: number

  constructor(trouble: EngineTrouble, message: string, status: number, cause?: unknown) {
    super(message, { cause })
    this.name = 'EngineError'
    this.trouble = trouble
    this.status = status
  }
}

export function troubleOf(error: unknown): EngineTrouble | null {
  return error instanceof EngineError ? error.trouble : null
}

/** What docker-modem rejects with. */
interface ModemError extends Error {
  readonly statusCode?: number
  readonly json?: unknown
  readonly reason?: string
  readonly code?: string
}

const BY_STATUS: Readonly<Record<number, EngineTrouble>> = { 304: 'unchanged', 404: 'missing', 409: 'conflict' }

const MAX_TEXT = 500

/** Makes a sentence of any failure of a call. @param what what was asked, such as `start container kb-1` */
export function engineError(error: unknown, what: string, place: string, timedOutMs: number): EngineError {
  if (error instanceof EngineError) return error
  const modem = error as ModemError
  if (modem.statusCode !== undefined) {
    const trouble = BY_STATUS[modem.statusCode] ?? 'refused'
    return new EngineError(trouble, `${what}: ${spoken(modem)}`, modem.statusCode, error)
  }
  if (timedOutMs > 0) {
    const text = `${what}: the Docker engine at ${place} gave no answer for ${timedOutMs} ms`
    return new EngineError('timeout', text, 0, error)
  }
  if (modem.code === 'EACCES' || modem.code === 'EPERM') {
    const advice = 'run as a member of the group that owns the socket (usually "docker")'
    return new EngineError('forbidden', `no permission to use the Docker engine at ${place}: ${advice}`, 0, error)
  }
  const code = modem.code ?? modem.message
  return new EngineError('gone', `the Docker engine at ${place} cannot be reached (${code}): is it running?`, 0, error)
}

/** The engine's own words; modem puts its status before them. */
function spoken(error: ModemError): string {
  const said = (error.json as { message?: unknown } | null | undefined)?.message
  const text = typeof said === 'string' ? said : error.message.replace(/^\(HTTP code \d+\)[^-]*- /, '')
  return text.trim().replace(/\s+/g, ' ').slice(0, MAX_TEXT)
}
