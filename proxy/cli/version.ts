import { readFileSync } from 'node:fs'

/** The version of this package: two folders up, in the sources and in what is published alike. */
export function version(): string {
  const manifest = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string
  }
  return manifest.version
}
