import { accessSync, constants, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, isAbsolute, join, resolve } from 'node:path'

/** The oldest jq whose behaviour is known here. */
export const MIN_VERSION = '1.6'

/**
 * The jq to run: `JQ_PATH`, else the one that `node-jq` brings, else the first on `PATH`. That is the order in which
 * node-jq itself looks, so both mean the same binary.
 * @throws Error that says where it was looked for, and what to do
 */
export function findBinary(env: NodeJS.ProcessEnv): string {
  if (env['JQ_PATH'] !== undefined && env['JQ_PATH'] !== '') return namedBinary(resolve(env['JQ_PATH']))
  const bundled = bundledBinary()
  if (bundled !== null && isExecutable(bundled)) return bundled
  const folders = (env['PATH'] ?? '').split(delimiter).filter(isAbsolute)
  const found = folders.map(folder => join(folder, 'jq')).find(isExecutable)
  if (found !== undefined) return found
  throw new Error(
    'there is no jq: not at JQ_PATH (not set), not in the package node-jq, not on PATH; ' +
      `install jq ${MIN_VERSION} or newer ("apt-get install jq"), or set JQ_PATH to it`,
  )
}

/** @param said what `jq --version` printed @throws Error where this is no jq, or too old a one */
export function checkVersion(path: string, said: string): void {
  const line = said.trim().split('\n')[0] ?? ''
  if (!line.startsWith('jq-')) {
    throw new Error(`${path} is no jq: asked for its version it says ${JSON.stringify(line.slice(0, 60))}`)
  }
  const match = /^jq-(\d+)\.(\d+)/.exec(line)
  // A build from a branch (`jq-master-…`) has no number; it is newer than every release that is too old.
  if (match === null) return
  const [major, minor] = MIN_VERSION.split('.').map(Number) as [number, number]
  const have = [Number(match[1]), Number(match[2])] as const
  if (have[0] > major || (have[0] === major && have[1] >= minor)) return
  throw new Error(`${path} is ${line}; filters need jq ${MIN_VERSION} or newer`)
}

/** Whoever names a binary means that one: no other takes its place. */
function namedBinary(path: string): string {
  if (isExecutable(path)) return path
  throw new Error(`JQ_PATH is ${path}, which is no file that can be executed`)
}

function bundledBinary(): string | null {
  try {
    return join(dirname(createRequire(import.meta.url).resolve('node-jq/package.json')), 'bin', 'jq')
  } catch {
    // An optional dependency: that it is not there is no error.
    return null
  }
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return statSync(path).isFile()
  } catch {
    return false
  }
}
