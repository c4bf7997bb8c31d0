import { cpus } from 'node:os'

/** The machine in one phrase, for reports. */
export function machine(): string {
  const all = cpus()
  return `Node ${process.version}, ${process.platform}-${process.arch}, ${all.length} cores (${all[0]?.model.trim() ?? '?'})`
}
