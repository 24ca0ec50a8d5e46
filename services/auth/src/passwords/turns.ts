import { Problem } from '@berth/service'
import pLimit from 'p-limit'

/**
 * Does work in turn, `runsAtOnce` at a time. A call behind `mostWaiting` others is refused with 503: what guesses at passwords
 * must take neither all cores nor all connections to the database.
 */
export function createTurns({ runsAtOnce, mostWaiting }: { runsAtOnce: number; mostWaiting: number }) {
  const limit = pLimit(runsAtOnce)
  return async <T>(work: () => Promise<T>): Promise<T> => {
    if (limit.pendingCount >= mostWaiting && limit.activeCount >= runsAtOnce)
      throw new Problem(503, 'too_many_logins', 'Too many logins at once.', { headers: { 'retry-after': '2' } })
    return limit(work)
  }
}
