import { type Direction, GlobList } from '../api/index.ts'
import { SERVER_REQUEST_METHODS } from './methods.ts'

/** The parts of a `match`, each a glob, a list of globs, or absent = everything. */
export interface MatchPatterns {
  readonly server?: string | readonly string[] | undefined
  readonly method?: string | readonly string[] | undefined
  readonly name?: string | readonly string[] | undefined
  readonly client?: string | readonly string[] | undefined
  readonly direction?: 'to_server' | 'to_client' | undefined
}

const DIRECTIONS: Readonly<Record<string, readonly Direction[]>> = {
  to_server: ['toServer'],
  to_client: ['toClient'],
  both: ['toServer', 'toClient'],
}

export type MatchKey = 'server' | 'method' | 'name' | 'client'

const EVERYTHING = new GlobList(['*'])

/** The `match` of one chain entry. */
export class Matcher {
  readonly server: GlobList
  readonly method: GlobList
  readonly name: GlobList
  readonly client: GlobList
  /** Which way a message travels. */
  readonly directions: readonly Direction[]

  constructor(patterns: MatchPatterns) {
    this.server = listOf(patterns.server)
    this.method = listOf(patterns.method)
    this.name = listOf(patterns.name)
    this.client = listOf(patterns.client)
    this.directions = DIRECTIONS[patterns.direction ?? 'both'] as readonly Direction[]
  }

  fitsMethod(method: string): boolean {
    return fitsMethod(this.method, method)
  }

  fits(server: string, method: string, name: string, client: string): boolean {
    return this.misfit(server, method, name, client) === null
  }

  /** The first part that does not fit, `null` when all do. */
  misfit(server: string, method: string, name: string, client: string): MatchKey | null {
    if (!this.server.fits(server)) return 'server'
    if (!this.fitsMethod(method)) return 'method'
    if (!this.name.fits(name)) return 'name'
    return this.client.fits(client) ? null : 'client'
  }
}

/** @param method `''` = the method of a server's request that nobody knows: fits if one of those could */
export function fitsMethod(globs: GlobList, method: string): boolean {
  return method === '' ? SERVER_REQUEST_METHODS.some(one => globs.fits(one)) : globs.fits(method)
}

function listOf(patterns: string | readonly string[] | undefined): GlobList {
  if (patterns === undefined) return EVERYTHING
  return new GlobList(typeof patterns === 'string' ? [patterns] : patterns)
}
