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

/**
 * From now on there is load, and the more room the fewer collections. For new objects V8 has its default again. What is old
 * may double before V8 goes over all of it: by default it would do so after a tenth or a third more where little happens,
 * as in a proxy that was idle or that holds thousands of silent streams, and calls wait for that.
 */
export function mayGrow(): void {
  setFlagsFromString(`${GROWTH}2`)
  setFlagsFromString('--heap-growing-percent=100')
}
