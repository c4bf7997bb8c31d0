import { createHash } from 'node:crypto'
import { type Dirent, readdirSync, statSync } from 'node:fs'
import { basename, extname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A module file that should export an interceptor. */
export interface Candidate {
  /** Of its folder, or of the file without its extension. */
  readonly name: string
  readonly file: string
  /** Whether it came with the proxy. */
  readonly builtIn: boolean
}

/** The folder of the interceptors that come with the proxy: beside the running code, in a checkout and in a build. */
export const BUILT_IN_DIR = fileURLToPath(new URL('../../interceptors', import.meta.url))

/** Where users drop modules without configuring anything. */
export const CUSTOM_DIR = join(BUILT_IN_DIR, 'custom')

const EXTENSIONS = ['.ts', '.mts', '.js', '.mjs']

/** `interceptors/<name>/<name>.ts`, or `.js` in a build. */
export function builtInCandidates(): Candidate[] {
  const folders = list(BUILT_IN_DIR).filter(entry => entry.isDirectory() && entry.name !== 'custom')
  return folders.flatMap(folder => {
    const file = mainFile(join(BUILT_IN_DIR, folder.name))
    return file === null ? [] : [{ name: folder.name, file, builtIn: true }]
  })
}

/**
 * The modules in a folder: `<any>.ts` and `.js`, and `<name>/<name>.ts` or `.js`. Tests, declarations and names that
 * begin with `.` or `_` are left out.
 * @throws the error of the file system when the folder cannot be read
 */
export function customCandidates(dir: string): Candidate[] {
  return list(dir).flatMap(entry => {
    const path = join(dir, entry.name)
    const file = isFolder(entry) ? mainFile(path) : isModule(entry.name) ? path : null
    return file === null ? [] : [{ name: basename(file, extname(file)), file, builtIn: false }]
  })
}

function list(dir: string): Dirent[] {
  const entries = readdirSync(dir, { withFileTypes: true })
  return entries.filter(entry => !/^[._]/.test(entry.name)).sort((a, b) => (a.name < b.name ? -1 : 1))
}

function isFolder(entry: Dirent): boolean {
  return entry.isDirectory() && entry.name !== 'node_modules'
}

function isModule(name: string): boolean {
  return EXTENSIONS.includes(extname(name)) && !/\.(?:test|spec|d)\.m?[jt]s$/.test(name)
}

function mainFile(folder: string): string | null {
  const name = basename(folder)
  const files = list(folder).map(entry => entry.name)
  const extension = EXTENSIONS.find(one => files.includes(name + one))
  return extension === undefined ? null : join(folder, name + extension)
}

/** The most files of a folder, and levels below it, that are looked at for changes. */
const MAX_VERSIONED_FILES = 1000
const MAX_VERSIONED_DEPTH = 8

/**
 * Changes whenever a module in the folder does, or a file below it that such a module could import: names, times and
 * sizes, not contents.
 * @throws the error of the file system when the folder cannot be read
 */
export function folderVersion(dir: string): string {
  const hash = createHash('sha256')
  const files: string[] = []
  collectFiles(dir, 0, files)
  for (const file of files) {
    const stat = statSync(file, { throwIfNoEntry: false, bigint: true })
    hash.update(`${file}\0${stat?.mtimeNs}\0${stat?.size}\0`)
  }
  return hash.digest('hex').slice(0, 16)
}

function collectFiles(dir: string, depth: number, files: string[]): void {
  for (const entry of list(dir)) {
    if (files.length >= MAX_VERSIONED_FILES) return
    const path = join(dir, entry.name)
    if (isFolder(entry)) {
      if (depth < MAX_VERSIONED_DEPTH) collectFiles(path, depth + 1, files)
    } else if (/\.(?:m?[jt]s|json)$/.test(entry.name)) {
      files.push(path)
    }
  }
}

/** Whether a path is a folder, now. */
export function isModuleFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
}
