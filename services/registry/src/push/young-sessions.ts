import type { StagedPart } from '@berth/blobs'
import { OciError } from '@berth/oci'
import { LRUCache } from 'lru-cache'
import type { SessionOwner } from './session-id.ts'

/**
 * Upload sessions that began in this process a moment ago, where it alone takes in uploads. One that has a small chunk and nothing else
 * mostly ends at once: it gets its row, behind the answer, only when it does not.
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
  /** Does what gives a session its row in another way, with what is kept of it: until that is done it is found here. */
  end<T>(id: string, work: (part: StagedPart | undefined) => Promise<T>): Promise<T>
  /** Records all, and keeps nothing any more. */
  stop(): Promise<void>
}

type Held = { owner: SessionOwner; part: StagedPart; late?: NodeJS.Timeout; settling?: Promise<void> | undefined }

const freshMs = 60_000
const mostFresh = 10_000

const againMs = 5_000

/** `record` makes the row. `restMs`: how long after its chunk a session gets it. */
export function createYoungSessions(
  record: (id: string, owner: SessionOwner, part: StagedPart) => Promise<void>,
  { mostHeld = 1_000, restMs = 100 } = {},
): YoungSessions {
  const fresh = new LRUCache<string, true>({ max: mostFresh, ttl: freshMs })
  const held = new Map<string, Held>()
  let isStopped = false

  const settle = async (id: string) => {
    fresh.delete(id)
    const one = held.get(id)
    if (!one) return
    clearTimeout(one.late)
    one.settling ??= record(id, one.owner, one.part).then(
      () => void held.delete(id),
      (error: unknown) => {
        one.settling = undefined
        // What its account may not have is let go: whoever goes on with it begins anew.
        if (error instanceof OciError) held.delete(id)
        else settleLater(id, one, againMs)
        throw error
      },
    )
    await one.settling
  }
  // A failure is an error of the next request of the session; until that comes the row is tried again.
  const settleLater = (id: string, one: Held, afterMs: number) => {
    clearTimeout(one.late)
    one.late = setTimeout(() => void settle(id).catch(() => undefined), afterMs).unref()
  }
  const isOf = (owner: SessionOwner, other: SessionOwner) =>
    owner.repository === other.repository && owner.subject === other.subject

  return {
    begin: (id) => void fresh.set(id, true),
    hold: (id, owner, part) => {
      if (isStopped || !fresh.has(id) || held.size >= mostHeld) return false
      fresh.delete(id)
      const one: Held = { owner, part }
      held.set(id, one)
      settleLater(id, one, restMs)
      return true
    },
    find: (id, owner) => {
      const one = held.get(id)
      return one && isOf(owner, one.owner) ? one.part : undefined
    },
    settle,
    end: async (id, work) => {
      fresh.delete(id)
      const one = held.get(id)
      if (!one) return work(undefined)
      clearTimeout(one.late)
      await one.settling?.catch(() => 'its row is made by the work')
      try {
        const result = await work(one.part)
        held.delete(id)
        clearTimeout(one.late)
        return result
      } catch (error) {
        if (held.has(id)) settleLater(id, one, againMs)
        throw error
      }
    },
    stop: async () => {
      isStopped = true
      // Of what the database does not take now its clients begin anew.
      await Promise.allSettled([...held.keys()].map(settle))
      for (const { late } of held.values()) clearTimeout(late)
    },
  }
}
