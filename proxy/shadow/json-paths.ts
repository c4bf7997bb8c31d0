import type { Json } from '../api/index.ts'

/** Most places that one comparison names. */
export const MAX_PATHS = 20
/** Longest name of one. */
const MAX_PATH_LENGTH = 200

/**
 * Where two JSON values differ: `params.arguments.query`, `result.content[0].text`. Values are never told; keys are.
 * @returns at most `MAX_PATHS` of them; `''` stands for the whole
 */
export function differingPaths(before: Json | undefined, after: Json | undefined): string[] {
  const found: string[] = []
  walk(before, after, '', found)
  return found
}

function walk(before: Json | undefined, after: Json | undefined, path: string, found: string[]): void {
  if (before === after || found.length >= MAX_PATHS) return
  if (Array.isArray(before) && Array.isArray(after)) {
    for (let i = 0; i < Math.max(before.length, after.length); i++) walk(before[i], after[i], `${path}[${i}]`, found)
  } else if (isObject(before) && isObject(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      walk(before[key], after[key], `${path}${memberOf(key, path)}`, found)
    }
  } else {
    found.push(path.slice(0, MAX_PATH_LENGTH))
  }
}

function memberOf(key: string, path: string): string {
  if (!/^[\p{L}_$][\p{L}\p{N}_$-]*$/u.test(key)) return `[${JSON.stringify(key)}]`
  return path === '' ? key : `.${key}`
}

function isObject(value: Json | undefined): value is { [key: string]: Json } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
