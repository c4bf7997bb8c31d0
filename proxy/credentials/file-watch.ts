import { stat } from 'node:fs/promises'

/** How often files are looked at, in milliseconds. */
export const POLL_MS = 2000

/**
 * Tells when one of a set of files changes: its time, size or identity, behind links too (mounted secrets are links that
 * get switched). Never keeps the process alive.
 */
export class FileWatch {
  readonly #changed: () => void
  readonly #timer: NodeJS.Timeout | null
  #stamps = new Map<string, string>()
  #looking = false

  /** @param pollMs 0 = only when `look` is called */
  constructor(changed: () => void, pollMs: number = POLL_MS) {
    this.#changed = changed
    this.#timer = pollMs > 0 ? setInterval(() => void this.look(), pollMs).unref() : null
  }

  /** Watches these files and no others. Resolves when their present state is known. */
  async watch(files: Iterable<string>): Promise<void> {
    const stamps = new Map<string, string>()
    for (const file of files) stamps.set(file, this.#stamps.get(file) ?? (await stampOf(file)))
    this.#stamps = stamps
  }

  /** Compares now. */
  async look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    try {
      let differs = false
      for (const [file, before] of this.#stamps) {
        const now = await stampOf(file)
        if (now === before) continue
        this.#stamps.set(file, now)
        differs = true
      }
      if (differs) this.#changed()
    } finally {
      this.#looking = false
    }
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
  }
}

async function stampOf(file: string): Promise<string> {
  try {
    const { mtimeNs, size, ino, dev } = await stat(file, { bigint: true })
    return `${mtimeNs} ${size} ${ino} ${dev}`
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code)
  }
}
