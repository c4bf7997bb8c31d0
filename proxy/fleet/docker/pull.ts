import type { Readable } from 'node:stream'
import { formatByteSize } from '../../api/units.ts'
import { channels } from '../../observe/channels.ts'
import { LaunchError } from '../launcher.ts'
import type { DockerEngine } from './engine.ts'
import { EngineError } from './engine-error.ts'
import { parseImage } from './image-name.ts'
import { registryAuth } from './registry-auth.ts'
import { TextLines } from './text-lines.ts'

/** A pull that shows no progress for so long has failed. */
const STALL_MS = 120_000
const TOTAL_MS = 30 * 60_000
/** Between two lines about one pull in the log. */
const REPORT_MS = 2_000
/** The engine has no more layers in an image than this. */
const MAX_LAYERS = 256

/** One line of the engine's progress. */
interface Step {
  readonly id?: string
  readonly status?: string
  readonly error?: string
  readonly progressDetail?: { readonly current?: number; readonly total?: number }
}

/** Pulls an image and reports how far it is. @throws LaunchError */
export async function pullImage(engine: DockerEngine, image: string, env: NodeJS.ProcessEnv): Promise<void> {
  const auth = await registryAuth(image, env)
  const name = parseImage(image)
  const tag = name.digest || name.tag || 'latest'
  notice('info', `pulling ${image}`, { image })
  const begun = performance.now()
  // The signal is not `call`'s own: that one serves only until the answer begins.
  const abort = new AbortController()
  const wanted = { fromImage: name.repository, tag, abortSignal: abort.signal }
  const pull = (): Promise<Readable> =>
    (auth === null
      ? engine.docker.createImage(wanted)
      : engine.docker.createImage(auth as never, wanted)) as Promise<Readable>
  try {
    const progress = await engine.call(`pull ${image}`, pull, { timeoutMs: STALL_MS })
    await follow(progress, new Progress(image))
  } catch (error) {
    throw pullError(error, image)
  } finally {
    abort.abort()
  }
  notice('info', `pulled ${image}`, { image, duration_ms: Math.round(performance.now() - begun) })
}

/** Reads to the end. The engine says 200 before it knows: the error comes as a line. */
function follow(stream: Readable, progress: Progress): Promise<void> {
  return new Promise((resolve, reject) => {
    const give = (text: string): void => void stream.destroy(new Error(text))
    const total = setTimeout(() => give(`it took more than ${TOTAL_MS} ms`), TOTAL_MS)
    const stall = setTimeout(() => give(`no progress for ${STALL_MS} ms`), STALL_MS)
    const lines = new TextLines(line => progress.take(line))
    const end = (error?: Error | null): void => {
      clearTimeout(total)
      clearTimeout(stall)
      lines.end()
      if (error) reject(error)
      else if (progress.error !== '') reject(new Error(progress.error))
      else resolve()
    }
    stream.on('data', (chunk: Buffer) => {
      stall.refresh()
      lines.push(chunk)
    })
    stream.once('end', () => end())
    stream.once('error', end)
    stream.once('close', () => end(stream.readableEnded ? null : new Error('the engine ended it in the middle')))
  })
}

/** Sums up the layers of one pull. */
class Progress {
  error = ''
  readonly #image: string
  readonly #layers = new Map<string, { current: number; total: number }>()
  #reportedAt = performance.now()

  constructor(image: string) {
    this.#image = image
  }

  take(line: string): void {
    const step = parse(line)
    if (step.error !== undefined) this.error = step.error
    const layer = this.#layers.get(step.id ?? '')
    if (step.status === 'Download complete' && layer !== undefined) layer.current = layer.total
    const { current = 0, total = 0 } = step.progressDetail ?? {}
    if (step.status !== 'Downloading' || step.id === undefined || total <= 0) return
    if (layer !== undefined) layer.current = current
    else if (this.#layers.size < MAX_LAYERS) this.#layers.set(step.id, { current, total })
    this.#report()
  }

  #report(): void {
    const now = performance.now()
    if (now - this.#reportedAt < REPORT_MS) return
    this.#reportedAt = now
    let [current, total] = [0, 0]
    for (const layer of this.#layers.values()) {
      current += layer.current
      total += layer.total
    }
    const percent = Math.floor((100 * current) / total)
    const text = `pulling ${this.#image}: ${percent} % of ${formatByteSize(roundUp(total))} so far`
    notice('info', text, { image: this.#image, bytes: current, total_bytes: total })
  }
}

function parse(line: string): Step {
  try {
    return JSON.parse(line) as Step
  } catch {
    return {}
  }
}

const MIB = 1024 * 1024

function roundUp(bytes: number): number {
  return Math.ceil(bytes / MIB) * MIB
}

/** What another try cannot mend: it is not there, or not for us. */
const PERMANENT =
  /not found|manifest unknown|does not exist|denied|unauthorized|no matching manifest|no basic auth|authentication required|invalid reference/i

function pullError(error: unknown, image: string): LaunchError {
  if (error instanceof LaunchError) return error
  const text = (error as Error).message
  const isSaid = !(error instanceof EngineError) || ['missing', 'refused'].includes(error.trouble)
  const said = text.startsWith('pull ') ? text.replace(`pull ${image}: `, '') : text
  return new LaunchError(`image ${image} cannot be pulled: ${said}`, isSaid && PERMANENT.test(text), error)
}

function notice(level: 'info', text: string, fields: Record<string, unknown>): void {
  if (channels.notice.hasSubscribers) channels.notice.publish({ level, text, fields })
}
