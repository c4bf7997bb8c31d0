/** Time, so that tests can hold it still. Structurally the `Clock` of `#api`. */
export const systemClock = {
  now: (): number => Date.now(),
  monotonic: (): number => performance.now(),
}
