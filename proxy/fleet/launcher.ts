/** Why and how an instance ended. `reason` is one sentence for people, without secrets. */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
  readonly oomKilled: boolean
  readonly reason: string
}

/** What an instance uses now. */
export interface Usage {
  readonly memoryBytes: number
  /** User and system time since it started. */
  readonly cpuSeconds: number
}

/** One running process, container, or bridge with the processes behind it. */
export interface Instance {
  /** Unique among all instances of all proxies on this machine, letters, digits and `-`: `kb-2-9f3c1a`. */
  readonly id: string
  /** Streamable HTTP endpoint. */
  readonly url: string
  /** `''` = TCP. */
  readonly socketPath: string
  /** What a person looks for it by: a pid, a container id. */
  readonly handle: string
  /** Resolves when it has ended, for whatever reason; never rejects. */
  readonly ended: Promise<Ended>
  /** Ends it: politely, after `graceMs` by force. Resolves when it is gone. May be called twice. */
  stop(graceMs: number): Promise<void>
  /** `null` = not known. */
  usage(): Promise<Usage | null>
  /** What the engine itself says about its health, where it does (`HEALTHCHECK`); `null` = it does not. */
  selfCheck(): Promise<boolean | null>
  /** Sessions that would end with it: while there are any, the last replica is not stopped for being idle. */
  readonly sessions?: number
}

/** Starts instances of one server: child processes, containers, or a stdio bridge around either. */
export interface Launcher {
  /**
   * Starts one. Resolves when it runs, which is before it is ready to answer: health checks say that.
   * @throws LaunchError when it could not be started
   */
  launch(id: string, signal: AbortSignal): Promise<Instance>
  /** Says what would make a running instance out of date: a digest over image, command, environment and limits. */
  readonly fingerprint: string
  /** Removes what earlier, dead proxies with this instance id left behind. Resolves to how many. */
  reap(): Promise<number>
}

/** A start that failed. `permanent` = another try cannot do better (no such command, no such image). */
export class LaunchError extends Error {
  readonly permanent: boolean

  constructor(message: string, permanent: boolean, cause?: unknown) {
    super(message, { cause })
    this.name = 'LaunchError'
    this.permanent = permanent
  }
}
