import { FileTarget, type FileTargetOptions } from './file-target.ts'
import { LineFile, type LineFileOptions } from './line-file.ts'

/** What one chain entry holds of a file. */
export interface SharedFile {
  /** @param line with its line end */
  write(line: string): void
  /** Writes what waits; the last one to let go closes the file. */
  close(): Promise<void>
}

interface OpenFile {
  readonly file: LineFile
  /** Who writes to it now. */
  users: number
  /** What its target was made from, apart from functions. */
  settings: string
}

/** One writer for each path in this process: a reload of policies, or two entries, must not write two chains into a file. */
const openFiles = new Map<string, OpenFile>()

/**
 * Opens a file, or shares it with those who have it open; the newest options hold for all of them.
 * @throws Error when the file could not be written to
 */
export function shareFile(target: FileTargetOptions, options: LineFileOptions): SharedFile {
  const settings = JSON.stringify([target.chainKey, target.rotation])
  const known = openFiles.get(target.path)
  const open = known ?? { file: new LineFile(new FileTarget(target), options), users: 0, settings }
  if (known !== undefined) {
    open.file.configure(known.settings === settings ? null : new FileTarget(target), options)
    open.settings = settings
  }
  openFiles.set(target.path, open)
  open.users++
  return { write: line => open.file.write(line), close: () => release(target.path, open) }
}

async function release(path: string, open: OpenFile): Promise<void> {
  open.users--
  await open.file.drain()
  // Somebody may have come while the last lines were written.
  if (open.users > 0 || openFiles.get(path) !== open) return
  openFiles.delete(path)
  open.file.end()
}
