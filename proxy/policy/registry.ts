import type { Interceptor } from '../api/index.ts'

/** One interceptor that a chain can name. */
export interface Entry {
  readonly interceptor: Interceptor
  /** `built-in`, or the file or package it came from. */
  readonly origin: string
}

export interface RegistryOptions {
  /** Folders of users' interceptors, absolute or relative to `baseDir`. */
  readonly dirs: readonly string[]
  /** Names of packages, resolved from `baseDir`. */
  readonly modules: readonly string[]
  readonly baseDir: string
}

/** All interceptors that a policy can use, by name. */
export class Registry {
  /** @throws LoadError that names every module that cannot be used, and both files of a name that is taken twice */
  static load(_options: RegistryOptions): Promise<Registry> {
    throw new Error('not yet')
  }

  /** Without any module; for tests and `probe`. */
  static of(_interceptors: readonly Interceptor[]): Registry {
    return new Registry()
  }

  get(_name: string): Entry | undefined {
    return undefined
  }

  /** By name, alphabetical. */
  list(): readonly Entry[] {
    return []
  }
}
