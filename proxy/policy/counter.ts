import type { Count } from '../api/index.ts'
import { channels } from '../observe/channels.ts'

const NAME = /^[a-z][a-z0-9_]{0,99}_total$/
const LABEL = /^[a-z][a-z0-9_]{0,39}$/
const MAX_LABELS = 4

/**
 * A counter that an interceptor adds to; whoever watches the channel turns it into a metric. While nobody does, it costs
 * one boolean.
 * @throws TypeError when a name is not one that Prometheus takes
 */
export function createCounter(name: string, help: string, labels: readonly string[] = []): Count {
  return counterOf(name, help, labels, false)
}

/** Checks all that `createCounter` checks, and tells nobody. */
export function silentCounter(name: string, help: string, labels: readonly string[] = []): Count {
  return counterOf(name, help, labels, true)
}

function counterOf(name: string, help: string, labels: readonly string[], silent: boolean): Count {
  const full = name.startsWith('sluice_') ? name : `sluice_${name}`
  if (!NAME.test(full)) throw new TypeError(`counter "${name}": expected snake_case that ends in "_total"`)
  if (labels.length > MAX_LABELS) throw new TypeError(`counter "${name}": at most ${MAX_LABELS} labels`)
  for (const label of labels) {
    if (!LABEL.test(label)) throw new TypeError(`counter "${name}": the label "${label}" is not snake_case`)
  }
  const fixed = Object.freeze([...labels])
  return (by, ...values) => {
    if (values.length !== fixed.length) {
      throw new TypeError(`counter "${name}": expected ${fixed.length} label values, got ${values.length}`)
    }
    if (!silent && channels.counted.hasSubscribers)
      channels.counted.publish({ name: full, help, labels: fixed, by, values })
  }
}
