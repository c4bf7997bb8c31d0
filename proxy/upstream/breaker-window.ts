import { EventEmitter } from 'node:events'

/** Parts of a rolling window: what is older than the window leaves it a tenth at a time. */
export const BUCKETS = 10

interface Window {
  readonly rotator: EventEmitter
  readonly timer: NodeJS.Timeout
  users: number
}

/** By the length of a bucket. There are as many as configurations differ. */
const windows = new Map<number, Window>()

/** What turns the windows of this length: one timer for all breakers of the process. Give it back with `releaseWindow`. */
export function useWindow(windowMs: number): EventEmitter {
  const bucketMs = Math.floor(windowMs / BUCKETS)
  let window = windows.get(bucketMs)
  if (window === undefined) {
    const rotator = new EventEmitter().setMaxListeners(0)
    window = { rotator, timer: setInterval(rotate, bucketMs, rotator).unref(), users: 0 }
    windows.set(bucketMs, window)
  }
  window.users++
  return window.rotator
}

/** Stops the timer after the last one. */
export function releaseWindow(windowMs: number): void {
  const bucketMs = Math.floor(windowMs / BUCKETS)
  const window = windows.get(bucketMs)
  if (window === undefined || --window.users > 0) return
  clearInterval(window.timer)
  windows.delete(bucketMs)
}

function rotate(rotator: EventEmitter): void {
  rotator.emit('rotate')
}
