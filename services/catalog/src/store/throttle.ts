import { setTimeout as delay } from 'node:timers/promises'

/** Waits as long as so many bytes are to take, less what they took. */
export type Throttle = (bytes: number) => Promise<void>

// Shorter waits are left to add up: a timer is no more exact than that.
const leastWaitMs = 20
// What was slower than it had to be is caught up with, but not in one great burst.
const creditMs = 1_000

/** Lets bytes through at a pace, in all. Throws what the signal says while it waits. */
export function createThrottle(bytesPerSecond: number, signal: AbortSignal): Throttle {
  let readyAt = performance.now()
  return async (bytes) => {
    const now = performance.now()
    readyAt = Math.max(readyAt, now - creditMs) + (bytes / bytesPerSecond) * 1_000
    if (readyAt - now >= leastWaitMs) await delay(readyAt - now, undefined, { signal })
  }
}
