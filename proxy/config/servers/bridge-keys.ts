import { z } from 'zod'
import { byteSize, duration } from '../../api/units.ts'
import type { BridgeSpec } from '../../fleet/spec/bridge.ts'

const KIB = 1024
const MIB = 1024 * KIB

/** What holds for a stdio server that says nothing about its bridge. */
export const BRIDGE_DEFAULTS = Object.freeze({
  era: 'auto' as BridgeSpec['era'],
  share: false,
  maxProcesses: 32,
  warm: 1,
  sessionIdleMs: 600_000,
  maxLineBytes: 16 * MIB,
})

/** The bridge of a server that has nothing to say about it. */
export const NO_BRIDGE: BridgeSpec = Object.freeze({ ...BRIDGE_DEFAULTS, acquireTimeoutMs: 5_000, maxWaiting: 1_000 })

/** Keys of a server in `sluice.yaml` about servers that speak over stdio. */
export const bridgeKeys = {
  era: z
    .enum(['auto', 'legacy', 'modern'])
    .default(BRIDGE_DEFAULTS.era)
    .meta({ description: 'what a stdio server speaks; auto = it is asked' }),
  share: z
    .boolean()
    .default(BRIDGE_DEFAULTS.share)
    .meta({ description: 'one process for all legacy sessions: only for servers that keep no state' }),
  max_processes: z
    .number()
    .int()
    .min(1)
    .max(10_000)
    .default(BRIDGE_DEFAULTS.maxProcesses)
    .meta({ description: 'most processes of a stdio server, per replica' }),
  warm: z
    .number()
    .int()
    .min(0)
    .max(1_000)
    .default(BRIDGE_DEFAULTS.warm)
    .meta({ description: 'processes kept started for sessions to come' }),
  session_idle: duration()
    .default(BRIDGE_DEFAULTS.sessionIdleMs)
    .meta({ description: 'when a session that is not used ends; 0 = never' }),
  max_line_bytes: byteSize()
    .refine(bytes => bytes >= KIB, { error: 'expected at least 1KiB' })
    .default(BRIDGE_DEFAULTS.maxLineBytes)
    .meta({ description: 'longest message of a stdio server, either way' }),
} satisfies Record<string, z.ZodType>

const raw = z.strictObject(bridgeKeys)

/** @param wait the server's own limits for requests that wait */
export function resolveBridge(
  server: z.infer<typeof raw>,
  wait: { readonly acquireTimeoutMs: number; readonly maxWaiting: number },
): BridgeSpec {
  return Object.freeze({
    era: server.era,
    share: server.share,
    maxProcesses: server.max_processes,
    warm: Math.min(server.warm, server.max_processes),
    sessionIdleMs: server.session_idle,
    maxLineBytes: server.max_line_bytes,
    acquireTimeoutMs: wait.acquireTimeoutMs,
    maxWaiting: wait.maxWaiting,
  })
}
