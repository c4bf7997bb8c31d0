/** A static replica, as the configuration names it. */
export interface StaticPlace {
  /** As written, normalised: also the replica's id. */
  readonly id: string
  /** http or https endpoint, with its path. */
  readonly url: string
  /** Absolute path of a unix socket; `''` = TCP. */
  readonly socketPath: string
}

/** Replicas that somebody else runs, behind a name that is asked again and again. */
export interface DnsSource {
  readonly kind: 'dns'
  readonly name: string
  /** 0 = what the SRV record says. */
  readonly port: number
  readonly path: string
  readonly type: 'A' | 'AAAA' | 'SRV'
  readonly intervalMs: number
  readonly tls: boolean
}

/** Containers, or tasks of a Swarm service, that somebody else runs on our engine. One of `label` and `service` is `''`. */
export interface DockerSource {
  readonly kind: 'docker'
  /** `name=value` or `name`. */
  readonly label: string
  readonly service: string
  readonly port: number
  readonly path: string
  /** The network whose addresses are used; `''` = the first one. */
  readonly network: string
}

/** Child processes of ours. */
export interface ProcessSource {
  readonly kind: 'process'
  /** Program and arguments; at least one. Never a secret: arguments can be seen by everybody. */
  readonly command: readonly string[]
  readonly transport: 'stdio' | 'http'
  /** For `http`: the variable that tells it its port. */
  readonly portEnv: string
  /** For `http`: path of its endpoint. */
  readonly path: string
  /** Absolute. */
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** Containers of ours; everything else about them is in `spec/container.ts`. */
export interface ImageSource {
  readonly kind: 'image'
  readonly image: string
}

/** Where the replicas of a server come from. */
export type Source =
  | { readonly kind: 'static'; readonly places: readonly StaticPlace[] }
  | DnsSource
  | DockerSource
  | ProcessSource
  | ImageSource

/** How it is found out whether a replica is well. */
export interface HealthSpec {
  /**
   * `auto`: what the instance or its engine says, else any answer to `server/discover` that is no 5xx. `http`: a 2xx of
   * `path`. `tcp`: a connection. `mcp`: a good answer to `server/discover`, or to `ping` in one session that is kept.
   */
  readonly kind: 'auto' | 'http' | 'tcp' | 'mcp'
  /** For `http`. */
  readonly path: string
  /** A replica that is not ready after this long has failed to start; until then failed checks do not count. */
  readonly startPeriodMs: number
  readonly intervalMs: number
  readonly timeoutMs: number
  /** So many failed checks in a row, and the replica is replaced. At least 1. */
  readonly retries: number
}

export interface RestartSpec {
  /** Wait after a failed start; each further one waits twice as long, at most a minute. */
  readonly delayMs: number
  /** Starts after a failure; one more failure in the window, and the server has failed. */
  readonly maxAttempts: number
  readonly windowMs: number
}

/** How the replicas that we start ourselves live. */
export interface LifeSpec {
  readonly min: number
  /** At least 1, at least `min`. */
  readonly max: number
  /** Requests in flight per replica beyond which another one is started. */
  readonly targetInFlight: number
  /** How long there must have been less to do before replicas are stopped; 0 = never. */
  readonly idleTimeoutMs: number
  readonly restart: RestartSpec
  readonly health: HealthSpec
  /** From the polite request to stop until it is killed. */
  readonly stopGraceMs: number
}

/** One server as the fleet sees it. Plain data. */
export interface ServerSpec {
  readonly name: string
  readonly source: Source
  readonly life: LifeSpec
}
