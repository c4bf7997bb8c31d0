import { randomBytes } from 'node:crypto'
import { link, mkdir, open, rename, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

const NOT_OURS = 0o077

/** A name beside `file` that nobody else uses. */
function draftOf(file: string): string {
  return `${file}.${process.pid}.${randomBytes(4).toString('hex')}`
}

/**
 * Writes a file of mode 0600 whole or not at all: a reader, and a crash at any moment, meet the old content or the new.
 * Resolves when it is on the disk.
 */
export async function replacePrivately(file: string, content: string | Uint8Array): Promise<void> {
  const draft = await writeDraft(file, content)
  try {
    await rename(draft, file)
  } catch (error) {
    await unlink(draft)
    throw error
  }
  await syncFolder(file)
}

/** The same for a file that must not exist yet. @returns false when there is one; then nothing was written */
export async function createPrivately(file: string, content: string | Uint8Array): Promise<boolean> {
  const draft = await writeDraft(file, content)
  try {
    await link(draft, file)
    await syncFolder(file)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    await unlink(draft)
  }
}

/**
 * Reads a file that only its owner may read, of at most `maxBytes`.
 * @throws Error that names the file, its mode and the remedy where others may; with the system's code where it cannot be read
 */
export async function readPrivately(file: string, maxBytes: number): Promise<Buffer> {
  const handle = await open(file, 'r')
  try {
    // Asked of what was opened: another file may have come in its place since.
    const { mode, size, uid } = await handle.stat()
    if (process.platform !== 'win32') {
      checkMode(file, mode)
      checkOwner(file, uid)
    }
    if (size > maxBytes) throw new Error(`${file}: ${size} bytes, expected at most ${maxBytes}`)
    return await handle.readFile()
  } finally {
    await handle.close()
  }
}

function checkMode(file: string, mode: number): void {
  if ((mode & NOT_OURS) === 0) return
  const shown = (mode & 0o777).toString(8).padStart(4, '0')
  throw new Error(`${file}: mode ${shown} lets others at it, expected 0600 or 0400: run \`chmod 600 ${file}\``)
}

function checkOwner(file: string, uid: number): void {
  const own = process.getuid?.() ?? uid
  if (uid === own || uid === 0) return
  throw new Error(`${file}: belongs to user ${uid}, expected ${own} or root: another user could change it`)
}

async function writeDraft(file: string, content: string | Uint8Array): Promise<string> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const draft = draftOf(file)
  const handle = await open(draft, 'wx', 0o600)
  try {
    await handle.writeFile(content)
    await handle.sync()
  } finally {
    await handle.close()
  }
  return draft
}

/** The name is in the folder, and the folder has to reach the disk, too. */
async function syncFolder(file: string): Promise<void> {
  const folder = await open(dirname(file), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
