import type { Sql } from '@berth/service'
import type { PlacedRun } from './placed-run.ts'

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
