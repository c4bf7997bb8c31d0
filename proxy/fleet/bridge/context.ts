import { channels } from '../../observe/channels.ts'
import type { BridgeSpec } from '../spec/bridge.ts'
import type { StdioOpener } from '../stdio-channel.ts'

/** What all parts of one bridge share. */
export interface BridgeContext {
  /** Name of the server, for people. */
  readonly server: string
  /** Id of the bridge's instance. */
  readonly id: string
  readonly spec: BridgeSpec
  readonly opener: StdioOpener
  /** Takes secrets out of a line that goes to the log or into an error. */
  readonly redact: (line: string) => string
  /** Until a process that was told to stop is killed. */
  readonly stopGraceMs: number
}

/** Tells the operator something about a process of the bridge. */
export function tell(
  context: BridgeContext,
  level: 'debug' | 'info' | 'warn' | 'error',
  text: string,
  fields: Readonly<Record<string, unknown>>,
): void {
  if (!channels.notice.hasSubscribers) return
  channels.notice.publish({ level, text, fields: { server: context.server, replica: context.id, ...fields } })
}
