import { setFlagsFromString } from 'node:v8'

const GROWTH = '--semi-space-growth-factor='

/** For Node, before a process that will serve loads its modules: see `beginSmall`. */
export const SMALL_START = `${GROWTH}1`

/**
 * Keeps V8's room for new objects at 1 MB while modules are loaded. Much of what is made then stays, which V8 takes for a reason
 * to make that room 16 times as large; an idle process would keep it, 13 MB that nothing needs.
 */
export function beginSmall(): void {
  setFlagsFromString(SMALL_START)
}

/** From now on there is load, and the more room the fewer collections: as V8 has it by default. */
export function mayGrow(): void {
  setFlagsFromString(`${GROWTH}2`)
}
