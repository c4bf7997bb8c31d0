import type { JsonObject } from '#api'
import type { PinOptions } from '../options.ts'
import { changedFields, digestOf } from './digest.ts'
import type { Lock } from './lock-file.ts'

/** What a tool is, compared with its pin. */
export interface PinVerdict {
  readonly kind: 'same' | 'changed' | 'new'
  readonly action: 'allow' | 'report' | 'block'
  /** For people: `description, inputSchema`; `''` unless it changed. */
  readonly fields: string
  /** Of the tool as it is now. */
  readonly digest: string
}

const SAME: PinVerdict = { kind: 'same', action: 'allow', fields: '', digest: '' }

/** Compares tools with a lock file. */
export class Pins {
  readonly #lock: Lock
  readonly #options: PinOptions

  constructor(lock: Lock, options: PinOptions) {
    this.#lock = lock
    this.#options = options
  }

  judge(server: string, name: string, tool: Readonly<JsonObject>): PinVerdict {
    const pin = this.#lock.get(server)?.get(name)
    const { on_change, new_tools } = this.#options
    if (pin === undefined) {
      return { kind: 'new', action: new_tools, fields: '', digest: new_tools === 'allow' ? '' : digestOf(tool) }
    }
    const digest = digestOf(tool)
    if (digest === pin.digest) return SAME
    return { kind: 'changed', action: on_change, fields: changedFields(pin.tool, tool).join(', '), digest }
  }
}
