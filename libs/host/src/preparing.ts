import { setTimeout as delay } from 'node:timers/promises'
import { type Loop, startLoop } from '@berth/bus'
import type { Lifecycle, Logger } from '@berth/service'

const lastRunMs = 2_000

type Stoppable = { stop(): Promise<void> | void }

/** What a service may begin before it is on the bus; all of it is stopped with it, the last first. */
export type Preparing = {
  /**
   * Runs `run` every `everyMs`, and after a failure, which is told of as `failure`, again after `pauseAfterFailureMs` (as long,
   * unless set).
   */
  loop: (
    name: string,
    options: {
      everyMs: number
      pauseAfterFailureMs?: number
      failure: string
      level?: 'warn' | 'error'
      /** Runs it a last time when the service stops, for what is only in memory; that is waited for two seconds. */
      alsoAtStop?: boolean
      run: (signal: AbortSignal) => Promise<void>
    },
  ) => Loop
  /** Has something stopped with the service, and answers it. */
  keep: <T extends Stoppable>(name: string, part: T) => T
}

export function createPreparing(life: Lifecycle, log: Logger): Preparing {
  const keep: Preparing['keep'] = (what, part) => {
    life.onStop(what, () => part.stop())
    return part
  }
  return {
    keep,
    loop: (what, { everyMs, pauseAfterFailureMs = everyMs, failure, level = 'warn', alsoAtStop = false, run }) => {
      if (alsoAtStop) keep(`${what}, for the last time`, { stop: () => withinStop(run) })
      const onError = (error: unknown) => log[level](failure, { error })
      return keep(what, startLoop({ pollMs: everyMs, pauseAfterFailureMs, run, onError }))
    },
  }
}

/** Runs something while the service stops, and leaves it when it takes too long: its database may be what does not answer. */
async function withinStop(run: (signal: AbortSignal) => Promise<void>): Promise<void> {
  const over = new AbortController()
  const patience = delay(lastRunMs, undefined, { signal: over.signal }).catch(() => undefined)
  try {
    await Promise.race([run(over.signal), patience])
  } finally {
    over.abort()
  }
}
