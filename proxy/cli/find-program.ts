import { accessSync, constants, statSync } from 'node:fs'
import { delimiter, isAbsolute, resolve } from 'node:path'

/**
 * Where a child's program is: its path, or a name in the folders of PATH. A child inherits our PATH unless its own
 * environment has one.
 * @returns `null` when there is none that may be run
 */
export function findProgram(program: string, cwd: string, path: string): string | null {
  const folders = path.split(delimiter).filter(isAbsolute)
  const places = program.includes('/') ? [resolve(cwd, program)] : folders.map(folder => resolve(folder, program))
  return places.find(isProgram) ?? null
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
