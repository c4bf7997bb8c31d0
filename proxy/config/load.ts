import type { Config } from './config.ts'

/**
 * Reads `sluice.yaml`.
 * @throws LoadError with every problem found
 */
export function loadConfig(_file: string, _options: { env: NodeJS.ProcessEnv }): Config {
  throw new Error('not yet')
}
