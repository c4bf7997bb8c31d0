import { readFileSync } from 'node:fs'
import { parse } from 'yaml'

export type Tree = Readonly<Record<string, unknown>>

interface PolicyTree extends Tree {
  readonly interceptors: readonly { readonly use: string }[]
}

/** A policy file as data, with no other interceptors than these; each has the options that it has there. */
export function readPolicy(file: string, only?: readonly string[]): Tree {
  const whole = parse(readFileSync(file, 'utf8')) as PolicyTree
  if (only === undefined) return whole
  const { access_control: rights, ...policy } = whole
  const interceptors = policy.interceptors.filter(({ use }) => only.includes(use))
  // Rights that nobody enforces are an error.
  return { ...policy, ...(only.includes('access') && { access_control: rights }), interceptors }
}
