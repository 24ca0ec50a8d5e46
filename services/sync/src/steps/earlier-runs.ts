import type { Sql } from '@berth/service'
import type { Remote } from '../db/generated/client.ts'
import type { PlacedRun } from './placed-run.ts'

// Upstreams pay for every question about a tag that did not move, and signatures that are later than their image are seldom.
const hoursBetween = 24

/** Whether this remote was never synced into this repository before. */
export async function isFirstRun(sql: Sql, { remoteId, repositoryId }: PlacedRun): Promise<boolean> {
  const done = await sql.query(
    `select 1
     from sync_run
     where remote_id = $1
       and repository_id = $2
       and state = 'completed'
       and not dry_run
     limit 1`,
    [remoteId, repositoryId],
  )
  return done.length === 0
}

/**
 * Whether a run asks what refers to every tag, moved or not: once a day for each remote and repository, and after the remote
 * was changed, for then other tags may be chosen (docs/decisions/0016).
 */
export async function areCompanionsDue(
  sql: Sql,
  { repositoryId, upstreamName }: PlacedRun,
  remote: Pick<Remote, 'id' | 'updatedAt'>,
): Promise<boolean> {
  const asked = await sql.query(
    `select 1
     from sync_run
     where remote_id = $1
       and repository_id = $2
       and upstream_name is not distinct from $3
       and companions_asked
       and state = 'completed'
       and not dry_run
       and started_at > greatest(now() - make_interval(hours => $4), $5::timestamptz)
     limit 1`,
    [remote.id, repositoryId, upstreamName, hoursBetween, remote.updatedAt],
  )
  return asked.length === 0
}

/** Notes whether a run asked, before its end: until it is completed that counts for nothing. */
export async function noteCompanions(sql: Sql, run: PlacedRun, wereAsked: boolean): Promise<void> {
  await sql.query('update sync_run set companions_asked = $2 where id = $1', [run.id, wereAsked])
}
