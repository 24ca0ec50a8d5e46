import { setTimeout as delay } from 'node:timers/promises'

const longestTimerMs = 2 ** 31 - 1

export type Loop = { wake: () => void; stop: () => Promise<void> }

/**
 * Runs `run` again and again: at once after `wake`, else every `pollMs`; after a failure not before `pauseAfterFailureMs`.
 * Never two runs at a time. `stop` aborts the signal and waits for the run under way.
 */
export function startLoop(options: {
  pollMs: number
  pauseAfterFailureMs: number
  run: (signal: AbortSignal) => Promise<void>
  onError: (error: unknown) => void
}): Loop {
  const stopping = new AbortController()
  let alarm = new AbortController()
  let woken = true

  const sleep = async (ms: number, interruptible: boolean) => {
    const signal = interruptible ? AbortSignal.any([stopping.signal, alarm.signal]) : stopping.signal
    // In parts: node makes 1 ms of a longer timer, and a loop that is to run once a month would never rest.
    for (let leftMs = ms; leftMs > 0 && !signal.aborted; leftMs -= longestTimerMs) {
      await delay(Math.min(leftMs, longestTimerMs), undefined, { signal }).catch((error: unknown) => {
        if (!signal.aborted) throw error
      })
    }
  }

  // A loop outlives all errors, also that of telling one.
  const tell = (error: unknown) => {
    try {
      options.onError(error)
    } catch (cause) {
      process.emitWarning(cause as Error)
    }
  }

  const done = (async () => {
    while (!stopping.signal.aborted) {
      if (!woken) await sleep(options.pollMs, true)
      if (stopping.signal.aborted) break
      woken = false
      alarm = new AbortController()
      try {
        await options.run(stopping.signal)
      } catch (error) {
        if (stopping.signal.aborted) break
        tell(error)
        await sleep(options.pauseAfterFailureMs, false)
        woken = true
      }
    }
  })()
  done.catch(() => 'told by stop')

  return {
    wake: () => {
      woken = true
      alarm.abort()
    },
    stop: async () => {
      stopping.abort()
      await done
    },
  }
}
