import type { Database } from '@berth/service'

const batchRows = 10_000

/**
 * Forgets what ended so many days ago. Of the deleted versions of a repository the first ones go, up to one that is younger or still
 * there: without a gap it can be said of each time which version was the latest, and of each what came next.
 */
export async function forgetHistory(db: Database, days: number, signal: AbortSignal): Promise<void> {
  await db.query(
    `delete from distribution_history as old
     where since < now() - make_interval(days => $1)
       and (
         exists (
           select
           from distribution_history as next
           where next.distribution_id = old.distribution_id
             and next.number > old.number
             and next.since < now() - make_interval(days => $1))
         or not exists (select from distribution where distribution.id = old.distribution_id))`,
    [days],
  )
  const repositories = await db.query<{ id: string }>(
    'select distinct repository_id as id from version_history where gone_at < now() - make_interval(days => $1)',
    [days],
  )
  for (const { id } of repositories) {
    for (let more = true; more; ) {
      signal.throwIfAborted()
      more = (await forgetVersions(db, id, days)) === batchRows
    }
    await db.query(
      `delete from tag_history
       where repository_id = $1
         and until <= coalesce(
           least(
             (select min(number) from version where repository_id = $1),
             (select min(number) from version_history where repository_id = $1)),
           2147483647)`,
      [id],
    )
  }
}

async function forgetVersions(db: Database, repositoryId: string, days: number): Promise<number> {
  const gone = await db.query(
    `delete from version_history
     where repository_id = $1
       and number = any(
         array(
           select number
           from version_history
           where repository_id = $1
             and number < least(
               (select min(number) from version where repository_id = $1),
               (
                 select min(number)
                 from version_history
                 where repository_id = $1
                   and gone_at >= now() - make_interval(days => $2)),
               2147483647)
           order by number
           limit ${batchRows}))
     returning number`,
    [repositoryId, days],
  )
  return gone.length
}
