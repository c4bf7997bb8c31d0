import type { Ended } from './launcher.ts'

/**
 * The pipes of one MCP server that speaks over stdio, be it a child process or an attached container. Bytes both ways;
 * whoever holds it splits lines (at byte 0x0A only) and joins them.
 */
export interface StdioChannel {
  /** A pid or a container id. */
  readonly handle: string
  /** @returns false = its buffer is full: wait for `onDrain` */
  write(line: Uint8Array): boolean
  /** Stops and resumes reading its output. */
  pause(): void
  resume(): void
  /** Closes its input, waits, then ends it by force. Resolves when it is gone. */
  stop(graceMs: number): Promise<void>
  readonly ended: Promise<Ended>
  usage(): Promise<{ memoryBytes: number; cpuSeconds: number } | null>
}

/** What hears a channel. `onData` chunks are cut anywhere. */
export interface StdioListener {
  onData(chunk: Buffer): void
  onDrain(): void
  /** One line of its standard error, without line break, cut at 8 KiB. */
  onStderr(line: string): void
}

/** Opens channels to fresh instances of one stdio server. */
export interface StdioOpener {
  /** @throws LaunchError */
  open(id: string, listener: StdioListener, signal: AbortSignal): Promise<StdioChannel>
}
