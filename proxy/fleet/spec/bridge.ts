/** How a server that speaks over stdio is put behind HTTP. Every default filled in. */
export interface BridgeSpec {
  /**
   * What the server speaks. `modern` = one process serves all clients; `legacy` = `initialize` and sessions; `auto` = the
   * server is asked when the first modern client comes.
   */
  readonly era: 'auto' | 'legacy' | 'modern'
  /** Whether one process serves all legacy sessions: only for servers that keep no state between calls. */
  readonly share: boolean
  /** Most processes at a time, warm ones included. At least 1. */
  readonly maxProcesses: number
  /** Processes that are kept started for sessions to come. */
  readonly warm: number
  /** A session without a running call and an open stream ends after this long; 0 = never. */
  readonly sessionIdleMs: number
  /** Longest line, which is the largest message, both ways. */
  readonly maxLineBytes: number
  /** How long a session waits for a process while all are taken. */
  readonly acquireTimeoutMs: number
  /** How many sessions may wait for a process. */
  readonly maxWaiting: number
}
