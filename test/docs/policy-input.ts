import { systemClock } from '../../proxy/base/clock.ts'
import type { PolicyInput } from '../../proxy/policy/compile.ts'
import { Registry } from '../../proxy/policy/registry.ts'
import { FrozenClock } from '../../proxy/testing/frozen-clock.ts'
import { ProbeStore } from '../../proxy/testing/probe-store.ts'

const SILENT = { debug() {}, info() {}, warn() {}, error() {} }

/** What it takes to compile one policy file of a document. */
export async function policyInput(root: string, file: string, dirs: readonly string[]): Promise<PolicyInput> {
  return {
    files: [file],
    servers: ['github', 'postgres', 'filesystem', 'search', 'demo'],
    registry: await Registry.load({ dirs, modules: [], baseDir: root }),
    services: {
      clock: systemClock,
      logger: () => SILENT,
      store: new ProbeStore(new FrozenClock(0)),
      tools: () => null,
    },
    env: {},
    strict: false,
    generation: 1,
  }
}
