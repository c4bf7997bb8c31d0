/** Where one replica of a server listens, as the fleet tells the workers. */
export interface ReplicaPlace {
  /** Names it in sessions, logs and metrics; never given to another instance. A static replica's is its URL. */
  readonly id: string
  /** http or https endpoint, with its path. */
  readonly url: string
  /** Absolute path of the unix socket to connect to in place of the URL's host and port; `''` = TCP. */
  readonly socketPath: string
  /** `draining` gets nothing new except what belongs to sessions that live on it. */
  readonly state: 'ready' | 'draining'
}

/** All that workers know about the replicas of one server. Plain data: it crosses process borders. */
export interface ServerPlaces {
  readonly server: string
  readonly places: readonly ReplicaPlace[]
  /** Whether a replica may come while there is none ready: then requests wait, for `acquire_timeout` at most. */
  readonly coming: boolean
  /** Why there is none and none will come, one sentence without secrets; `''` = nothing to say. */
  readonly reason: string
}

/** What workers tell the fleet. All calls are cheap, never throw, and may be made for servers the fleet does not run. */
export interface FleetLink {
  /** A request waits for a replica of `server`: start one if none is ready. */
  wanted(server: string): void
  /** How many requests run and wait in this worker now; told when it changed, at most every 200 ms. */
  load(server: string, inFlight: number, waiting: number): void
  /** A replica could not be connected to, or did not answer in time: worth a look before the next check is due. */
  suspect(server: string, replica: string): void
  /**
   * Nothing runs any more in this worker on a place that is `draining`: it may be stopped as far as this worker goes. Told
   * once for each such place, at once when nothing runs on it to begin with. What begins there afterwards, in a session
   * that lives on it, may be cut.
   */
  drained(server: string, replica: string): void
}
