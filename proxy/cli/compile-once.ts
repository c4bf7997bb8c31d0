import type { Logger } from '../api/index.ts'
import { systemClock } from '../base/clock.ts'
import type { YamlSource } from '../base/yaml-source.ts'
import { type CompiledPolicy, compilePolicies } from '../policy/compile.ts'
import { Registry } from '../policy/registry.ts'
import { MemoryStore } from '../store/memory.ts'

/** The part of a configuration that a policy is compiled with. */
export interface CompileInput {
  readonly policies: readonly string[]
  readonly inlinePolicies: readonly YamlSource[]
  readonly servers: readonly { readonly name: string }[]
  readonly interceptorDirs: readonly string[]
  readonly interceptorModules: readonly string[]
  readonly baseDir: string
}

const QUIET: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/**
 * Compiles for a command that only looks, lets `use` look, and closes what was made. No message runs through it.
 * @throws LoadError with every problem found
 */
export async function compileOnce<T>(
  input: CompileInput,
  strict: boolean,
  use: (policy: CompiledPolicy) => T,
): Promise<T> {
  const policy = await compilePolicies({
    files: input.policies,
    inline: input.inlinePolicies,
    servers: input.servers.map(server => server.name),
    registry: await loadRegistry(input),
    services: {
      clock: systemClock,
      logger: () => QUIET,
      store: new MemoryStore({ clock: systemClock }),
      tools: () => null,
    },
    env: process.env,
    strict,
    generation: 1,
  })
  try {
    return use(policy)
  } finally {
    await policy.table.replace()
  }
}

export function loadRegistry(
  input: Pick<CompileInput, 'interceptorDirs' | 'interceptorModules' | 'baseDir'>,
): Promise<Registry> {
  const { interceptorDirs, interceptorModules, baseDir } = input
  return Registry.load({ dirs: interceptorDirs, modules: interceptorModules, baseDir })
}
