import { accessSync, constants, existsSync, type Stats, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Config } from '../../config/config.ts'
import { type Finding, ok, problem, reasonOf, warning } from './finding.ts'

const OTHERS_MAY_WRITE = 0o022
const OTHERS_MAY_READ = 0o077

/** Who may read and write the files that decide, and those that hold secrets. */
export function checkFiles(config: Config): Finding[] {
  const deciding = [...(config.file === '' ? [] : [config.file]), ...config.policies]
  const secret = [...(config.tls === null ? [] : [config.tls.key]), join(config.stateDir, 'session.key')]
  const found = [
    ...deciding.map(file => checkMode(file, OTHERS_MAY_WRITE, 'others may change it', 'chmod go-w')),
    ...config.interceptorDirs.map(dir => checkMode(dir, OTHERS_MAY_WRITE, 'others may put code there', 'chmod go-w')),
    ...secret.map(file => checkMode(file, OTHERS_MAY_READ, 'others may read it', 'chmod 600')),
  ].flat()
  const bad =
    found.length > 0 ? found : [ok('file modes', 'nobody else may change what decides, or read what is secret')]
  return [...bad, checkStateDir(config.stateDir)]
}

function checkMode(path: string, mask: number, text: string, command: string): Finding[] {
  const stats = statOf(path)
  if (stats === null || (stats.mode & mask) === 0) return []
  const mode = (stats.mode & 0o777).toString(8).padStart(3, '0')
  return [warning('file modes', `${path} has mode ${mode}: ${text}`, `${command} ${path}`)]
}

/** Where the session key, tool pins and the like are kept; made at the first start. */
function checkStateDir(dir: string): Finding {
  let place = dir
  while (!existsSync(place) && dirname(place) !== place) place = dirname(place)
  try {
    if (!statSync(place).isDirectory()) throw new Error(`${place} is no folder`)
    accessSync(place, constants.W_OK | constants.X_OK)
    return ok('state folder', place === dir ? dir : `${dir} (will be made)`)
  } catch (error) {
    const text = `${dir} cannot be written to: ${reasonOf(error)}`
    return problem(
      'state folder',
      text,
      'give another "state_dir", or the user that runs Sluice the right to write there',
    )
  }
}

function statOf(path: string): Stats | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null
}
