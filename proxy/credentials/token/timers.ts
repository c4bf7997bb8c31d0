/** Timers, so that tests can hold them. */
export interface Timers {
  /** Runs `work` once, later. @returns what cancels it */
  after(ms: number, work: () => void): () => void
}

/** They do not keep the process alive. */
export const systemTimers: Timers = {
  after(ms, work) {
    const timer = setTimeout(work, ms).unref()
    return () => clearTimeout(timer)
  },
}
