import type { StagedPart } from '@berth/blobs'
import { LRUCache } from 'lru-cache'
import type { SessionOwner } from './session-id.ts'

/**
 * Upload sessions that began in this process a moment ago, where it alone takes in uploads. One that has a small chunk and nothing else
 * mostly ends at once: it gets its row, for which nobody waits, only when it does not.
 */
export type YoungSessions = {
  /** A session whose id was made just now, so that it can have no row. */
  begin(id: string): void
  /** Keeps the first chunk. False: there may be a row, or no room, and it has to be recorded. */
  hold(id: string, owner: SessionOwner, part: StagedPart): boolean
  /** What is kept of a session of this owner. */
  find(id: string, owner: SessionOwner): StagedPart | undefined
  /** Ends once what is kept of a session is in its row; there is nothing to keep of it from now on. Throws what recording it throws. */
  settle(id: string): Promise<void>
  /** Lets a session go, whose row says from now on what became of it. Answers what was kept. */
  forget(id: string): Promise<StagedPart | undefined>
  /** Records all. */
  stop(): Promise<void>
}

type Held = { owner: SessionOwner; part: StagedPart; late: NodeJS.Timeout; settling?: Promise<void> | undefined }

const freshMs = 60_000
const mostFresh = 10_000

/** `record` makes the row. `restMs`: how long after its chunk a session gets it. */
export function createYoungSessions(
  record: (id: string, owner: SessionOwner, part: StagedPart) => Promise<void>,
  { mostHeld = 1_000, restMs = 100 } = {},
): YoungSessions {
  const fresh = new LRUCache<string, true>({ max: mostFresh, ttl: freshMs })
  const held = new Map<string, Held>()

  const settle = async (id: string) => {
    fresh.delete(id)
    const one = held.get(id)
    if (!one) return
    clearTimeout(one.late)
    one.settling ??= record(id, one.owner, one.part).then(
      () => void held.delete(id),
      (error: unknown) => {
        one.settling = undefined
        throw error
      },
    )
    await one.settling
  }
  const isOf = (owner: SessionOwner, other: SessionOwner) =>
    owner.repository === other.repository && owner.subject === other.subject

  return {
    begin: (id) => void fresh.set(id, true),
    hold: (id, owner, part) => {
      if (!fresh.has(id) || held.size >= mostHeld) return false
      fresh.delete(id)
      // Whatever is done with it next tries again, and tells of its failure.
      const late = setTimeout(() => void settle(id).catch(() => undefined), restMs).unref()
      held.set(id, { owner, part, late })
      return true
    },
    find: (id, owner) => {
      const one = held.get(id)
      return one && isOf(owner, one.owner) ? one.part : undefined
    },
    settle,
    forget: async (id) => {
      fresh.delete(id)
      const one = held.get(id)
      if (!one) return undefined
      clearTimeout(one.late)
      await one.settling?.catch(() => 'its row is written by who forgets it')
      held.delete(id)
      return one.part
    },
    stop: async () => {
      await Promise.all([...held.keys()].map(settle))
    },
  }
}
