import { createHash } from 'node:crypto'
import { type FSWatcher, readFileSync, watch } from 'node:fs'
import { dirname } from 'node:path'
import { folderVersion, isModuleFolder } from './discover.ts'

export interface WatcherOptions {
  /** Quiet time after an event before files are compared, in milliseconds. */
  readonly debounceMs: number
  /** How often files are compared without an event, in milliseconds; 0 = never. */
  readonly pollMs: number
  /** Called when a watched path differs from what it was at the last `look` or `mark`; should lead to `mark`. */
  changed(): void
}

/**
 * Tells when files or modules in folders change. Events of the file system only hint: what counts is the content, so
 * editors that rename, links that are switched (mounted config maps) and folders that come and go are all the same.
 * Never keeps the process alive.
 */
export class Watcher {
  readonly #options: WatcherOptions
  readonly #watchers = new Map<string, FSWatcher>()
  readonly #poll: NodeJS.Timeout | null
  /** What each watched path held when it was last compared. */
  readonly #seen = new Map<string, string>()
  #timer: NodeJS.Timeout | null = null
  #closed = false

  constructor(options: WatcherOptions) {
    this.#options = options
    this.#poll = options.pollMs > 0 ? setInterval(() => this.#compare(), options.pollMs).unref() : null
  }

  /** Watches these and no others. A path that was watched before keeps what is known of it. */
  look(paths: readonly string[]): void {
    for (const path of this.#seen.keys()) {
      if (!paths.includes(path)) this.#seen.delete(path)
    }
    for (const path of paths) {
      if (!this.#seen.has(path)) this.#seen.set(path, fingerprint(path))
    }
    this.#arm()
  }

  /** Takes note of what is there now: to be called before the files are read, so that no later change is missed. */
  mark(): void {
    for (const path of this.#seen.keys()) this.#seen.set(path, fingerprint(path))
  }

  close(): void {
    this.#closed = true
    if (this.#timer !== null) clearTimeout(this.#timer)
    if (this.#poll !== null) clearInterval(this.#poll)
    for (const watcher of this.#watchers.values()) watcher.close()
    this.#watchers.clear()
  }

  #arm(): void {
    const folders = new Set(
      [...this.#seen.keys()].flatMap(path => (isModuleFolder(path) ? [path, dirname(path)] : [dirname(path)])),
    )
    for (const [folder, watcher] of this.#watchers) {
      if (!folders.has(folder)) this.#drop(folder, watcher)
    }
    for (const folder of folders) {
      if (!this.#watchers.has(folder)) this.#watch(folder)
    }
  }

  #watch(folder: string): void {
    try {
      const watcher = watch(folder, { persistent: false }, () => this.#touch())
      watcher.on('error', () => this.#drop(folder, watcher))
      this.#watchers.set(folder, watcher)
    } catch {
      // A folder that is not there, or a system without events: the poll sees it.
    }
  }

  #drop(folder: string, watcher: FSWatcher): void {
    watcher.close()
    this.#watchers.delete(folder)
  }

  #touch(): void {
    if (this.#closed) return
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#compare(), this.#options.debounceMs).unref()
  }

  #compare(): void {
    if (this.#closed) return
    this.#arm()
    if ([...this.#seen].some(([path, seen]) => fingerprint(path) !== seen)) this.#options.changed()
  }
}

/** Differs when the content of a file, or a module in a folder, does. */
function fingerprint(path: string): string {
  const content = contentOf(path)
  return createHash('sha256').update(content).digest('base64')
}

function contentOf(path: string): Buffer | string {
  try {
    return isModuleFolder(path) ? folderVersion(path) : readFileSync(path)
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  }
}
