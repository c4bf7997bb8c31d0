import { join } from 'node:path'
import type { ServerConfig } from '../config/config.ts'
import { BridgeLauncher } from '../fleet/bridge/bridge-launcher.ts'
import type { Launcher } from '../fleet/launcher.ts'
import { ChildOpener } from '../fleet/process/child-channel.ts'
import { fingerprintOf, ProcessLauncher } from '../fleet/process/process-launcher.ts'
import type { ProcessSource } from '../fleet/spec.ts'
import { OutputRedactor } from './redact.ts'

export interface ProcessParts {
  readonly server: ServerConfig
  readonly source: ProcessSource
  /** For the sockets of bridges. */
  readonly socketDir: string
  /** Variables that hold secrets, as they are now. Rejects when one cannot be had. */
  readonly secrets: () => Promise<Readonly<Record<string, string>>>
}

/** Runs a command: behind a bridge where it speaks over stdio. */
export function processLauncher({ server, source, socketDir, secrets }: ProcessParts): Launcher {
  const redactor = new OutputRedactor()
  const env = async (): Promise<Readonly<Record<string, string>>> => {
    const values = await secrets()
    redactor.remember(Object.values(values))
    return values
  }
  const { redact } = redactor
  if (source.transport === 'http') return new ProcessLauncher({ server: server.name, source, env, redact })
  const { command, cwd } = source
  return new BridgeLauncher({
    server: server.name,
    spec: server.bridge,
    opener: new ChildOpener(async () => ({ command, cwd, env: { ...source.env, ...(await env()) } })),
    socketDir: join(socketDir, 'run'),
    fingerprint: fingerprintOf(source, server.bridge),
    stopGraceMs: server.life.stopGraceMs,
    redact,
  })
}
