import type { ErrorCode } from '../../api/index.ts'
import { SluiceError } from '../../api/index.ts'
import { type BridgeContext, tell } from './context.ts'
import { askProcess, type OwnAnswer } from './own-call.ts'
import type { Pipe } from './pipe.ts'
import type { Processes } from './processes.ts'
import { MODERN_VERSION, OWN_META } from './wire.ts'

export type Era = 'legacy' | 'modern'

/** A server that is slower to start is taken for a legacy one at first, and seen to be modern when it answers. */
const PROBE_MS = 10_000
/** How long a legacy verdict holds that rests on silence or an end: it never fails by itself, so it has a date. */
const DOUBTFUL_MS = 60_000
/** And one that rests on an answer. */
const SURE_MS = 3_600_000

/** What was found out about a server, kept beyond one instance of its bridge. */
export interface EraMemory {
  era: Era | 'unknown'
  /** By `performance.now()`. */
  untilMs: number
  /** The modern versions it speaks; none = not known. */
  versions: readonly string[]
  /** How the process ended that was asked; `''` = it did not. */
  ending: string
}

export function newMemory(): EraMemory {
  return { era: 'unknown', untilMs: 0, versions: [], ending: '' }
}

/** Asks a server which era it speaks, by `server/discover` (MCP 2026-07-28, "Backward Compatibility"). */
export class EraFinder {
  private readonly context: BridgeContext
  private readonly processes: Processes
  private readonly memory: EraMemory
  /** Takes the process that answered, when that is modern. */
  private readonly adopt: (pipe: Pipe) => void
  private running: Promise<Era> | null

  constructor(context: BridgeContext, processes: Processes, memory: EraMemory, adopt: (pipe: Pipe) => void) {
    this.context = context
    this.processes = processes
    this.memory = memory
    this.adopt = adopt
    this.running = null
  }

  /** What is known without asking; `null` = it has to be asked. */
  get known(): Era | null {
    const { era } = this.context.spec
    const { memory } = this
    if (era === 'legacy') return era
    // It speaks modern, says the operator: which versions, it says itself.
    if (era === 'modern') return memory.untilMs > 0 ? era : null
    if (memory.era === 'unknown') return null
    return memory.era === 'modern' || performance.now() < memory.untilMs ? memory.era : null
  }

  /** Asks, once for all who want to know. @throws SluiceError when no process could be had */
  find(): Promise<Era> {
    this.running ??= this.probe().finally(() => {
      this.running = null
    })
    return this.running
  }

  /** The modern versions the server speaks. */
  get versions(): readonly string[] {
    return this.memory.versions
  }

  /** How the process ended that was asked; `''` = it did not. */
  get ending(): string {
    return this.memory.ending
  }

  private async probe(): Promise<Era> {
    const pipe = await this.lease()
    // Some legacy servers end at any request before initialize.
    pipe.isTrial = this.context.spec.era === 'auto'
    const answer = askProcess(pipe, 'server/discover', { _meta: OWN_META }, PROBE_MS)
    const versions = await answer.then(modernVersions, () => [])
    pipe.isTrial = false
    this.memory.versions = versions
    this.memory.ending = pipe.isOver ? pipe.sentence : ''
    const verdict = versions.length > 0 || this.context.spec.era === 'modern'
    if (verdict) this.found(pipe)
    else this.notFound(pipe, await answer.then(answered, () => false))
    return verdict ? 'modern' : 'legacy'
  }

  private found(pipe: Pipe): void {
    this.remember('modern', Number.POSITIVE_INFINITY)
    if (!pipe.isOver) this.adopt(pipe)
  }

  /** A process that has answered is as good as new; one that was silent may be confused. */
  private notFound(pipe: Pipe, didAnswer: boolean): void {
    if (didAnswer) this.processes.putBack(pipe)
    else if (!pipe.isOver) this.processes.end(pipe)
    this.remember('legacy', didAnswer ? SURE_MS : DOUBTFUL_MS)
  }

  private remember(era: Era, forMs: number): void {
    this.memory.era = era
    this.memory.untilMs = performance.now() + forMs
    tell(this.context, 'info', `the server speaks ${era} MCP`, {})
  }

  private lease(): Promise<Pipe> {
    return new Promise((granted, reject) => {
      const refused = (code: ErrorCode, text: string): void => reject(new SluiceError(code, text))
      this.processes.take({ granted, refused })
    })
  }
}

function answered(): boolean {
  return true
}

/** What a `DiscoverResult` says, or the error that names modern versions (-32022); none = the server is not modern. */
function modernVersions({ envelope, line }: OwnAnswer): string[] {
  const message = JSON.parse(line.toString()) as {
    result?: { supportedVersions?: unknown }
    error?: { data?: { supported?: unknown } }
  }
  const versions = envelope.isError
    ? envelope.errorCode === -32022 && message.error?.data?.supported
    : message.result?.supportedVersions
  if (!Array.isArray(versions)) return []
  return versions.filter(version => typeof version === 'string' && version >= MODERN_VERSION)
}
