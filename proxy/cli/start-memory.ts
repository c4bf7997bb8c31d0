import { setFlagsFromString } from 'node:v8'

const NEW_OBJECTS = '--semi-space-growth-factor='
const ALL = '--heap-growing-percent='

/** How far the whole heap may grow before V8 goes over it, in percent of what it held after the last time. */
const GROWTH = { few: 50, many: 100 }

/** For Node, before a process that will serve loads its modules: see `beginSmall`. */
export const SMALL_START = `${NEW_OBJECTS}1`

/**
 * Keeps V8's room for new objects at 1 MB while modules are loaded. Much of what is made then stays, which V8 takes for a reason
 * to make that room 16 times as large; an idle process would keep it, 13 MB that nothing needs.
 */
export function beginSmall(): void {
  setFlagsFromString(SMALL_START)
}

/**
 * From now on there is load, and the more room the fewer collections. For new objects V8 has its default again. The whole heap
 * is gone over when it has grown by half: in a process that was idle V8 would do so after a tenth more, which comes at the
 * moment when load is back, and calls wait for it. Whoever starts Node with a growth of their own keeps it.
 */
export function mayGrow(set = setFlagsFromString): void {
  set(`${NEW_OBJECTS}2`)
  holdStreams(false, set)
}

/**
 * Many streams that say nothing make a large heap that stays, and going over it takes a tenth of a second: not before it has
 * doubled. With few streams half must do, as what is not collected is memory that the process seems to need.
 */
export function holdStreams(areMany: boolean, set = setFlagsFromString): void {
  if (process.execArgv.some(arg => arg.replaceAll('_', '-').startsWith(ALL))) return
  set(`${ALL}${areMany ? GROWTH.many : GROWTH.few}`)
}
