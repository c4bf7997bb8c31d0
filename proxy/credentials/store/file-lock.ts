import { randomBytes } from 'node:crypto'
import { mkdir, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'

/** How long somebody waits for a lock. */
const WAIT_MS = 5000
const RETRY_MS = 25
/** A lock this old was left behind, whoever made it: nobody needs it for more than a few writes. */
const STALE_MS = 30_000

/**
 * Runs `work` while nobody else, in any process, holds the lock file.
 * @throws Error that names the lock and its holder when it does not come free in 5 s
 */
export async function withLock<T>(file: string, work: () => Promise<T>): Promise<T> {
  await mkdir(dirname(file), { recursive: true, mode: 0o700 })
  const mine = `${hostname()} ${process.pid} ${randomBytes(6).toString('hex')}`
  await take(file, mine)
  try {
    return await work()
  } finally {
    if ((await holder(file)) === mine) await unlink(file)
  }
}

async function take(file: string, mine: string): Promise<void> {
  const until = performance.now() + WAIT_MS
  while (!(await tryTake(file, mine))) {
    if (await isStale(file)) await breakLock(file)
    else if (performance.now() > until) {
      const who = (await holder(file)) ?? 'somebody'
      throw new Error(`${file}: held by ${who.split(' ').slice(0, 2).join(', process ')}; try again, or remove it`)
    } else await wait(RETRY_MS)
  }
}

async function tryTake(file: string, mine: string): Promise<boolean> {
  try {
    const handle = await open(file, 'wx', 0o600)
    await handle.writeFile(mine)
    await handle.close()
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  }
}

async function holder(file: string): Promise<string | null> {
  try {
    return await readFile(file, 'utf8')
  } catch {
    return null
  }
}

async function isStale(file: string): Promise<boolean> {
  const [host, pid] = ((await holder(file)) ?? '').split(' ')
  if (host === hostname() && pid !== undefined && !isAlive(Number(pid))) return true
  try {
    return Date.now() - (await stat(file)).mtimeMs > STALE_MS
  } catch {
    return false
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

/** Of several who see the same stale lock, only one gets to move it away. */
async function breakLock(file: string): Promise<void> {
  const away = `${file}.${randomBytes(4).toString('hex')}`
  try {
    await rename(file, away)
    await unlink(away)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
  }
}
