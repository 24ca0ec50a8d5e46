import { startLoop } from '@berth/bus'
import type { Database, Logger } from '@berth/service'
import { readBounds } from './read-log.ts'

const pollMs = 300

/** Tells the readers of the log when it has grown, whichever replica wrote to it. */
export type Tail = {
  /** Where the log ends, once that is beyond a place; `undefined` when the service stops or the signal is aborted, or after `withinMs`. */
  beyond(place: number, withinMs: number, signal: AbortSignal): Promise<number | undefined>
  isStopped(): boolean
  wake(): void
  stop(): Promise<void>
}

type Waiter = { place: number; done: (head: number | undefined) => void }

/** One query for all readers every 300 ms, and none while nobody waits. */
export function startTail(db: Database, log: Logger): Tail {
  const waiting = new Set<Waiter>()
  let isStopped = false
  const loop = startLoop({
    pollMs,
    pauseAfterFailureMs: pollMs * 3,
    onError: (error) => log.warn('the log of events could not be read', { error }),
    run: async () => {
      if (waiting.size === 0) return
      const { head } = await readBounds(db)
      for (const { place, done } of waiting) if (head > place) done(head)
    },
  })
  return {
    beyond: (place, withinMs, signal) =>
      new Promise((resolve) => {
        if (isStopped || signal.aborted) return resolve(undefined)
        const done = (head: number | undefined) => {
          clearTimeout(timer)
          signal.removeEventListener('abort', over)
          waiting.delete(waiter)
          resolve(head)
        }
        const over = () => done(undefined)
        const waiter = { place, done }
        const timer = setTimeout(over, withinMs)
        signal.addEventListener('abort', over, { once: true })
        waiting.add(waiter)
      }),
    isStopped: () => isStopped,
    wake: loop.wake,
    stop: async () => {
      isStopped = true
      for (const { done } of waiting) done(undefined)
      await loop.stop()
    },
  }
}
