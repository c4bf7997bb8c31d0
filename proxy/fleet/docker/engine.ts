import { createRequire } from 'node:module'
import type { Duplex, Readable } from 'node:stream'
import type Docker from 'dockerode'
import { http, https } from '../../base/node-modules.ts'
import { EngineError, engineError } from './engine-error.ts'
import type { EnginePlace } from './engine-place.ts'

const require = createRequire(import.meta.url)

/** How long the engine may take for a call that is not known to take long. */
export const CALL_TIMEOUT_MS = 30_000

export interface CallOptions {
  /** Default `CALL_TIMEOUT_MS`; 0 = none. */
  readonly timeoutMs?: number
  readonly signal?: AbortSignal | undefined
}

/**
 * One Docker engine. Every call has a time limit, and fails with an `EngineError` that says in a sentence what was asked and
 * why it was not done; an abort by the caller's signal rejects with the signal's own reason.
 */
export class DockerEngine {
  /** For people: where it is. */
  readonly text: string
  /** `''` = it is asked over TCP, so it may be another machine. */
  readonly socketPath: string
  /** For calls within `call`. */
  readonly docker: Docker

  constructor(place: EnginePlace) {
    this.text = place.text
    this.socketPath = place.socketPath
    // It takes 38 MB and 0.2 s to load: only where there are containers.
    const Client = require('dockerode') as typeof Docker
    this.docker = new Client(options(place))
  }

  /** Makes one call. `run` gets the signal it must hand to dockerode as `abortSignal`. @throws EngineError */
  async call<T>(what: string, run: (abortSignal: AbortSignal) => Promise<T>, options: CallOptions = {}): Promise<T> {
    const limit = options.timeoutMs ?? CALL_TIMEOUT_MS
    options.signal?.throwIfAborted()
    const abort = new AbortController()
    const stop = (): void => abort.abort()
    const timer = limit === 0 ? undefined : setTimeout(stop, limit)
    options.signal?.addEventListener('abort', stop, { once: true })
    try {
      return await orAborted(run(abort.signal), abort.signal)
    } catch (error) {
      options.signal?.throwIfAborted()
      const tookTooLong = limit > 0 && abort.signal.aborted
      throw engineError(error, what, this.text, tookTooLong ? limit : 0)
    } finally {
      clearTimeout(timer)
      options.signal?.removeEventListener('abort', stop)
    }
  }

  /** Whether it answers, and its version. */
  async version(): Promise<string> {
    const { Version } = await this.call('ask for its version', () => this.docker.version(), { timeoutMs: 5000 })
    return Version
  }

  /** Attaches to a container's streams. The socket is the caller's: it waits to be read, and closes without an error. */
  attach(id: string, stdin: boolean, call: CallOptions = {}): Promise<Duplex> {
    const attach = async (abortSignal: AbortSignal): Promise<Duplex> => {
      const wanted = { stream: true, hijack: true, stdin, stdout: true, stderr: true }
      const socket = (await this.docker.getContainer(id).attach(wanted)) as Duplex
      socket.on('error', () => {})
      if (abortSignal.aborted) socket.destroy()
      return socket
    }
    return this.call(`attach to container ${id.slice(0, 12)}`, attach, call)
  }

  /**
   * Resolves when a container does not run, as soon as it does not. dockerode's own call never returns when an engine goes
   * away after it sent the head of its answer, which it does at once: so the answer is read here.
   */
  async wait(id: string): Promise<void> {
    const what = `wait for container ${id.slice(0, 12)}`
    const answer = await this.call(what, () => this.#stream(`/containers/${id}/wait?`, 'POST'))
    await this.call(what, () => readToEnd(answer), { timeoutMs: 0 })
  }

  #stream(path: string, method: string): Promise<Readable> {
    const statusCodes = { 200: true, 404: 'no such container', 500: 'server error' }
    const request = { path, method, statusCodes, isStream: true, options: {} }
    return new Promise((resolve, reject) => {
      this.docker.modem.dial(request, (error: Error | null, answer: unknown) => {
        if (error === null) resolve(answer as Readable)
        else reject(error)
      })
    })
  }

  /** The engine's events, lines of JSON, from now on until the connection breaks or `signal` says so. */
  events(filters: Readonly<Record<string, readonly string[]>>, signal: AbortSignal): Promise<Readable> {
    const follow = (): Promise<Readable> =>
      this.docker.getEvents({ filters: filters as Record<string, string[]>, abortSignal: signal }) as Promise<Readable>
    return this.call('follow its events', follow, { signal })
  }
}

async function readToEnd(answer: Readable): Promise<void> {
  // What it says is asked for separately; that it broke off is thrown.
  for await (const _ of answer);
}

/** Rejects at an abort even where the call itself does not notice. */
function orAborted<T>(call: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true })
    call.then(resolve, reject)
  })
}

function options(place: EnginePlace): Docker.DockerOptions {
  // An idle connection that an engine's restart closed fails the next call: each call gets its own. The empty host keeps
  // DOCKER_HOST out, which the package reads by itself.
  const agent = place.tls === null ? new http.Agent({ keepAlive: false }) : new (https().Agent)({ keepAlive: false })
  const own = { agent, version: '', timeout: 0 }
  if (place.socketPath !== '') return { ...own, host: '', protocol: 'http', socketPath: place.socketPath }
  const base = { ...own, host: place.host, port: place.port }
  return place.tls === null ? { ...base, protocol: 'http' } : { ...base, protocol: 'https', ...place.tls }
}

/** Runs a clean-up step that may find its work done already. @throws EngineError for anything else */
export async function unlessGone(step: Promise<unknown>): Promise<void> {
  try {
    await step
  } catch (error) {
    const done = error instanceof EngineError && ['missing', 'unchanged'].includes(error.trouble)
    if (!done) throw error
  }
}
