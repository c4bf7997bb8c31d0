import { pino } from 'pino'

/** Bytes of log that may wait for a slow reader of the log, per process. Beyond it lines are dropped and counted. */
export const MAX_BUFFERED_BYTES = 16 * 1024 * 1024

/** Lines wait for company until this many bytes are together, or for `FLUSH_MS`. */
const BATCH_BYTES = 4096
const FLUSH_MS = 200

/** Where finished lines go. */
export interface Destination {
  write(line: string): unknown
  /** Hands everything that waits to the operating system, before it returns. */
  flushSync?(): void
  /** Ends the destination; resolves when the last line is written or given up. */
  end?(): unknown
}

/**
 * A file descriptor or file that never stops the process: writes happen in the background, in batches, at the latest
 * after 200 ms. At most `MAX_BUFFERED_BYTES` wait; further lines are dropped, and `onDropped` tells how many as soon
 * as there is room again. After a failed write (full disk, reader gone) the lines of that time are lost, and the end
 * of the process does not wait for them.
 */
export function backgroundDestination(target: number | string, onDropped: (lines: number) => void): Destination {
  const stream = pino.destination({
    dest: target,
    sync: false,
    minLength: BATCH_BYTES,
    maxLength: MAX_BUFFERED_BYTES,
    mkdir: true,
  })
  let dropped = 0
  let failing = false
  stream.on('drop', () => {
    dropped++
  })
  stream.on('error', () => {
    failing = true
  })
  stream.on('write', () => {
    failing = false
    if (dropped === 0) return
    const lines = dropped
    dropped = 0
    onDropped(lines)
  })
  // The stream's own flushSync tries for ever on a full disk, and runs at process exit too.
  const flushSync = stream.flushSync.bind(stream)
  stream.flushSync = () => {
    if (!failing) flushQuietly(flushSync)
  }
  const timer = setInterval(() => stream.flush(), FLUSH_MS)
  timer.unref()
  stream.on('close', () => clearInterval(timer))
  return stream as unknown as Destination
}

function flushQuietly(flushSync: () => void): void {
  try {
    flushSync()
  } catch {
    // Not open yet, or closed already: there is nothing that could be flushed, and no place to say so.
  }
}
