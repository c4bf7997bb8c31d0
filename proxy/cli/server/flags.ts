import type { ControlFlags } from '../control-client.ts'

export interface ServerFlags extends ControlFlags {
  readonly json?: boolean
}

export interface LogsFlags extends ServerFlags {
  readonly follow?: boolean
  readonly lines: number
  readonly replica?: string
}

export interface ActionFlags extends ServerFlags {
  readonly wait: boolean
  /** Milliseconds. */
  readonly timeout: number
}

/** Where text goes. */
export type Print = (text: string) => void
