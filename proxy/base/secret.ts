import { inspect } from 'node:util'

const HIDDEN = '[secret]'

/**
 * A secret text that shows itself only to who asks for it by `reveal`: not in templates, JSON, logs, `util.inspect`,
 * assertion messages or the causes of errors.
 */
export class Secret {
  readonly #value: string

  constructor(value: string) {
    this.#value = value
  }

  reveal(): string {
    return this.#value
  }

  equals(other: Secret): boolean {
    return this.#value === other.#value
  }

  toString(): string {
    return HIDDEN
  }

  toJSON(): string {
    return HIDDEN
  }

  [inspect.custom](): string {
    return HIDDEN
  }
}
