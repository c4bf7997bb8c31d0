import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type ProxyOptions, startProxy, type TestProxy } from './proxy.ts'
import type { Scope } from './scope.ts'
import { type Script, type ScriptedUpstream, startScriptedUpstream } from './scripted-upstream.ts'

/** What the modules of a test tell it, in order. */
const told: unknown[] = []
Object.assign(globalThis, {
  [Symbol.for('contract')]: (...what: unknown[]) => told.push(what.length === 1 ? what[0] : what),
})

/** Source text of an interceptor. `look` stands for all three kinds that `hooks` has. */
export function source(
  name: string,
  hooks: string,
  look = "need: 'json', edits: true",
  more = "onFailure: 'closed'",
): string {
  const kinds = ['request', 'response', 'notification'].filter(kind => new RegExp(`\\b${kind}\\(`).test(hooks))
  return `import { defineInterceptor, SluiceError, Verdict, z } from '#api'
const tell = globalThis[Symbol.for('contract')]
export default defineInterceptor({
  name: '${name}', summary: 'Of a test.', ${more},
  options: z.object({ word: z.string().default('none') }),
  looks: { ${kinds.map(kind => `${kind}: { ${look} }`).join(', ')} },
  create({ word }, environment) { return { ${hooks} } },
})
`
}

/** A proxy as a user has it: policy and interceptors are files. */
export interface OnDisk {
  readonly proxy: TestProxy
  readonly upstream: ScriptedUpstream
  readonly url: string
  /** Writes a module or the policy, and reloads; whether that is in use now. */
  change(files: Readonly<Record<string, string>>): Promise<boolean>
  /** What the modules told, and forgets it. */
  told(): unknown[]
}

/** A proxy whose policy is `policy.yaml` and whose interceptors are the other files. */
export async function startOnDisk(
  scope: Scope,
  files: Readonly<Record<string, string>>,
  script?: Script,
  options: Omit<ProxyOptions, 'servers'> = {},
): Promise<OnDisk> {
  const dir = mkdtempSync(join(tmpdir(), 'contract-'))
  scope.after(() => rmSync(dir, { recursive: true, force: true }))
  const modules = join(dir, 'modules')
  mkdirSync(modules)
  const write = (all: Readonly<Record<string, string>>): void => {
    for (const [name, text] of Object.entries(all))
      writeFileSync(join(name.endsWith('.yaml') ? dir : modules, name), text)
  }
  write(files)
  told.length = 0
  const upstream = await startScriptedUpstream(scope, script === undefined ? {} : { script })
  const config = { policies: [join(dir, 'policy.yaml')], interceptorDirs: [modules], ...options.config }
  const proxy = await startProxy(scope, { ...options, servers: upstream.url, config })
  return {
    proxy,
    upstream,
    url: proxy.endpoint(),
    change(all) {
      write(all)
      return proxy.sluice.reloadPolicy()
    },
    told: () => told.splice(0),
  }
}

/** A policy that names these entries. */
export function chain(...entries: (string | object)[]): string {
  return `version: 1\ninterceptors: ${JSON.stringify(entries)}\n`
}
