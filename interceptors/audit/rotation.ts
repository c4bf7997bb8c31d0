import { existsSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { basename, dirname, extname, join } from 'node:path'

export interface RotationOptions {
  /** A file does not grow beyond this. 0 = any size. */
  readonly maxBytes: number
  /** A file holds lines of one such stretch of time, counted from the epoch, in UTC. 0 = any time. */
  readonly everyMs: number
  /** How many rotated files stay. 0 = all. */
  readonly keep: number
}

const STAMP = '(\\d{8}T\\d{6}\\.\\d{3}Z)(?:-(\\d+))?'

/** Where a file goes when it is rotated: `audit.log` becomes `audit-20261121T102231.016Z.log`. */
export function rotatedPath(path: string, nowMs: number): string {
  const { stem, extension } = nameOf(path)
  const stamp = new Date(nowMs).toISOString().replace(/[-:]/g, '')
  for (let copy = 0; ; copy++) {
    const candidate = join(dirname(path), `${stem}-${stamp}${copy === 0 ? '' : `-${copy}`}${extension}`)
    if (!existsSync(candidate)) return candidate
  }
}

/** The files that a file was before it was rotated, oldest first; `[]` when there are none. */
export function rotatedFiles(path: string): string[] {
  const { stem, extension } = nameOf(path)
  const pattern = new RegExp(`^${RegExp.escape(stem)}-${STAMP}${RegExp.escape(extension)}(?:\\.gz)?$`)
  let names: string[]
  try {
    names = readdirSync(dirname(path))
  } catch {
    return []
  }
  const found = names.map(name => pattern.exec(name)).filter(match => match !== null)
  return found.toSorted(byStamp).map(match => join(dirname(path), match[0]))
}

/** Puts a file away under a name of its own, and removes those that are too many. */
export function rotate(path: string, nowMs: number, keep: number): void {
  renameSync(path, rotatedPath(path, nowMs))
  if (keep === 0) return
  const files = rotatedFiles(path)
  for (const file of files.slice(0, Math.max(0, files.length - keep))) rmSync(file, { force: true })
}

/** The file that one of several workers writes: `audit.log` becomes `audit.2.log`. */
export function workerPath(path: string, worker: string): string {
  if (worker === '') return path
  const { stem, extension } = nameOf(path)
  return join(dirname(path), `${stem}.${worker}${extension}`)
}

function nameOf(path: string): { stem: string; extension: string } {
  const extension = extname(path)
  return { stem: basename(path, extension), extension }
}

/** Two of the same millisecond are told apart by a number. */
function byStamp(a: RegExpExecArray, b: RegExpExecArray): number {
  const [one = '', other = ''] = [a[1], b[1]]
  if (one !== other) return one < other ? -1 : 1
  return Number(a[2] ?? 0) - Number(b[2] ?? 0)
}
