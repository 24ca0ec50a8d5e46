import { Problem } from '@berth/service'

/**
 * Does work in turn, `runsAtOnce` at a time. Who would be behind `mostWaiting` others is refused with 503: what guesses at passwords must take
 * neither all cores nor all connections to the database.
 */
export function createTurns({ runsAtOnce, mostWaiting }: { runsAtOnce: number; mostWaiting: number }) {
  let running = 0
  const waiting: (() => void)[] = []
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (running < runsAtOnce) running++
    else {
      if (waiting.length >= mostWaiting)
        throw new Problem(503, 'too_many_logins', 'Too many logins at once.', { headers: { 'retry-after': '2' } })
      // Whoever ends hands its turn over, so `running` stays as it is.
      await new Promise<void>((resolve) => void waiting.push(resolve))
    }
    try {
      return await work()
    } finally {
      const next = waiting.shift()
      if (next) next()
      else running--
    }
  }
}
