import { suggestion } from '../base/suggest.ts'
import { explain } from '../policy/explain.ts'
import { compileOnce } from './compile-once.ts'
import { configOrDefault } from './settings.ts'
import { UsageError } from './usage-error.ts'

export interface ExplainFlags {
  readonly server: string
  readonly method: string
  /** `''` = none. */
  readonly name: string
  readonly client: string
  readonly config?: string
  readonly policy: readonly string[]
  readonly interceptors: readonly string[]
}

/** `sluice explain`: the chain for one kind of message, as text. */
export function explainChain(flags: ExplainFlags): Promise<string> {
  const { server, method, name, client } = flags
  const config = configOrDefault(flags)
  const servers = config.servers.map(one => one.name)
  if (servers.length > 0 && !servers.includes(server)) {
    throw new UsageError(
      `--server ${server}: no such server in ${config.file}${suggestion(server, servers, 'there are')}`,
    )
  }
  // Without a configuration any name may be meant: the one asked about is then the one there is.
  const known = servers.length === 0 ? { ...config, servers: [{ name: server }] } : config
  return compileOnce(known, false, policy => explain(policy, { server, method, name, client }))
}
