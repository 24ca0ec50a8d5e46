import { type CloudEvent, startLoop } from '@berth/bus'
import type { Running } from '@berth/host'
import type { Database, Logger, Sql } from '@berth/service'
import type { Follower } from './follow.ts'
import type { Isolation } from './isolation.ts'
import { noteAnnounced } from './namespaces.ts'

const followEveryMs = 5_000
const pauseAfterFailureMs = 2_000

/**
 * Follows what catalog announces. Most of it is known already, because the change waited for registry; the events
 * make sure of the rest: replies that were lost, changes made while we were away. The effect of an event is a row that says
 * "look at this repository"; a loop looks, so that no transaction waits for another service.
 */
export function followEvents(options: {
  db: Database
  follow: Running['follow']
  follower: Follower
  isolation: Isolation
  log: Logger
}): { stop(): Promise<void> } {
  const { db, follow, follower, isolation, log } = options
  const loop = startLoop({
    pollMs: followEveryMs,
    pauseAfterFailureMs,
    onError: (error) => log.warn('following catalog will be tried again', { error }),
    run: async () => {
      const wanted = await db.query<{ id: string; written: string }>(
        'select repository_id as id, xmin::text as written from follow_wanted limit 100',
      )
      for (const { id, written } of wanted) {
        await isolation.spare(id, () => follower.follow(id))
        // Not when it was wanted again meanwhile: what was fetched may be older than that wish.
        await db.query('delete from follow_wanted where repository_id = $1 and xmin::text = $2', [id, written])
      }
      for (const id of await isolation.due()) await isolation.spare(id, () => follower.follow(id))
    },
  })
  follow({
    consumer: 'registry-catalog',
    source: 'catalog',
    handle: async (sql, event) => {
      const isNoted = await noteAnnounced(sql, event)
      const isBehind = await markUnfollowed(sql, event)
      if (isBehind) loop.wake()
      return isBehind || isNoted ? 'noted' : 'nothing'
    },
    // Too much was missed to go through it one by one: look at everything.
    takeSnapshot: async (sql) => {
      await sql.query(
        `insert into follow_wanted (repository_id)
         select id
         from served_repository
         on conflict do nothing`,
      )
    },
  })
  return loop
}

/** Notes a repository whose announced revision the model does not have yet. Answers whether it did. */
async function markUnfollowed(sql: Sql, event: CloudEvent): Promise<boolean> {
  const { repositoryId, revision } = event.data as { repositoryId?: string | null; revision?: number }
  if (typeof repositoryId !== 'string') return false
  const rows = await sql.prepared(
    'mark-unfollowed',
    `insert into follow_wanted (repository_id)
     select $1::uuid
     where not exists (select from served_repository where id = $1 and revision >= $2)
     on conflict (repository_id) do update set repository_id = excluded.repository_id
     returning repository_id`,
    [repositoryId, revision ?? 1],
  )
  return rows.length > 0
}
