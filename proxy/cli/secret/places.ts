import { existsSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { LoadError } from '../../base/diagnostic.ts'
import { expandReferences } from '../../base/env-refs.ts'
import { readYaml } from '../../base/read-yaml.ts'
import type { Path, YamlSource } from '../../base/yaml-source.ts'
import { defaultStateDir } from '../../config/state-dir.ts'
import { DEFAULT_FILE } from '../settings.ts'
import { UsageError } from '../usage-error.ts'

export interface PlaceFlags {
  readonly config?: string
  readonly store?: string
  readonly keyFile?: string
}

/** Where a store and its key are. */
export interface StorePlace {
  readonly file: string
  readonly keyFile: string
}

/**
 * What the configuration says about the store, and nothing else of it: whoever sets the first secret may not have the
 * variables that the rest of the file needs.
 * @throws LoadError for a file that is no YAML, UsageError where it says that there is no store
 */
export function storePlace(flags: PlaceFlags, env: NodeJS.ProcessEnv): StorePlace {
  const config = flags.config ?? (existsSync(DEFAULT_FILE) ? DEFAULT_FILE : '')
  const told = config === '' ? place(defaultStateDir(env)) : configured(resolve(config), env)
  return {
    file: flags.store === undefined ? told.file : resolve(flags.store),
    keyFile: flags.keyFile === undefined ? told.keyFile : resolve(flags.keyFile),
  }
}

function place(stateDir: string): StorePlace {
  return { file: join(stateDir, 'secrets.json'), keyFile: join(stateDir, 'secrets.key') }
}

function configured(file: string, env: NodeJS.ProcessEnv): StorePlace {
  const source = readYaml(file, env)
  if (typeof source.value !== 'object' || source.value === null) throw new LoadError(source.diagnostics)
  if (source.get(['credentials', 'encryption', 'enabled']) === false) {
    throw new UsageError(`${file}: there is no store, because credentials.encryption.enabled is false`)
  }
  const at = (...path: string[]): string | null => pathAt(source, path, file, env)
  const told = place(at('state_dir') ?? defaultStateDir(env))
  return {
    file: at('credentials', 'store_file') ?? told.file,
    keyFile: at('credentials', 'encryption', 'key_file') ?? told.keyFile,
  }
}

function pathAt(source: YamlSource, path: Path, file: string, env: NodeJS.ProcessEnv): string | null {
  const value = source.get(path)
  if (typeof value !== 'string' || value === '') return null
  const [problem] = expandReferences(source.written(path), env).problems
  if (problem !== undefined) throw new LoadError([source.diagnostic(path, problem.text)])
  return resolve(dirname(file), value)
}
