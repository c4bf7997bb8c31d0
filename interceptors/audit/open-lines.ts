import { statSync } from 'node:fs'
import type { Environment } from '#api'
import { LineFile, type LineFileOptions } from './line-file.ts'
import { type SharedFile, shareFile } from './open-files.ts'
import type { Options } from './options.ts'
import { workerPath } from './rotation.ts'
import { StreamTarget } from './target.ts'

/**
 * Opens what `path` says. A file that is chained or rotated has one writer: of several workers, each has its own.
 * @throws Error when the options do not fit together, or the file could not be written to
 */
export function openLines(checked: Options, environment: Environment): SharedFile {
  const { rehearsal } = environment
  const chained = checkChain(checked, environment.resolve(checked.path))
  if (rehearsal !== null) return { write: line => rehearsal.record(line), close: () => Promise.resolve() }
  const options = lineFileOptions(checked, environment)
  if (isStream(checked.path)) return new LineFile(new StreamTarget(checked.path === 'stdout' ? 1 : 2), options)
  const worker = chained || checked.rotate !== undefined ? (process.env.SLUICE_WORKER ?? '') : ''
  const target = {
    path: workerPath(environment.resolve(checked.path), worker),
    chainKey: chained ? (checked.chain_key ?? '') : null,
    rotation: rotationOf(checked),
    now: () => environment.clock.now(),
    onTrouble: options.onTrouble,
  }
  return shareFile(target, options)
}

function checkChain({ path, chain, chain_key: key, rotate }: Options, file: string): boolean {
  if (isStream(path)) {
    if (chain === true) throw new Error(`chain: only a file can be chained, and path is ${path}`)
    if (key !== undefined) throw new Error(`chain_key: only a file can be chained, and path is ${path}`)
    if (rotate !== undefined) throw new Error(`rotate: only a file can be rotated, and path is ${path}`)
    return false
  }
  if (chain === false && key !== undefined) throw new Error('chain_key: has no use with chain: false; leave one out')
  return chain ?? (key !== undefined || !isSpecial(file))
}

/** A pipe or a device: what is written there cannot be read again. */
function isSpecial(path: string): boolean {
  const found = statSync(path, { throwIfNoEntry: false })
  return found !== undefined && !found.isFile() && !found.isDirectory()
}

function isStream(path: string): boolean {
  return path === 'stdout' || path === 'stderr'
}

function rotationOf({ rotate }: Options): { maxBytes: number; everyMs: number; keep: number } | null {
  if (rotate === undefined) return null
  return { maxBytes: rotate.max_bytes, everyMs: rotate.every, keep: rotate.keep }
}

function lineFileOptions(checked: Options, { clock, logger }: Environment): LineFileOptions {
  return {
    maxBytes: checked.max_buffer_bytes,
    onFull: checked.on_full,
    lostLine: lines =>
      `{"timestamp":"${new Date(clock.now()).toISOString()}","event":"audit_lines_lost","lost":${lines}}\n`,
    onTrouble: (text, error) => logger.error({ path: checked.path, error }, text),
  }
}
