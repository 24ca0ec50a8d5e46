import type { Database } from '@berth/service'
import { stageTables } from '../stages/stage-content.ts'
import { type Forgotten, noteForgotten, tombstoneTables } from './tombstones.ts'

const batchRows = 1_000
const abandonedStageDays = 7
const pulledBeforeDays = 1
const toldOfDeletionsDays = 7

/** Deletes rows that say only that something is over, a batch at a time. Answers how many. */
export async function sweepTombstones(db: Database, signal: AbortSignal): Promise<number> {
  let swept = 0
  for (const { table, key, isTombstone } of tombstoneTables) {
    for (let more = true; more; ) {
      signal.throwIfAborted()
      const gone = await db.transaction(async (sql) => {
        const rows = await sql.query<Forgotten>(
          // Sorted as others touch them; a row in use is no tombstone for much longer.
          `delete from ${table}
           where ctid = any(
             array(
               select ctid
               from ${table}
               where ${isTombstone}
               order by repository_id, ${key}
               limit ${batchRows}
               for update skip locked))
             and ${isTombstone}
           returning repository_id as "repositoryId", revision`,
        )
        await noteForgotten(sql, rows)
        return rows.length
      })
      swept += gone
      more = gone === batchRows
    }
  }
  return swept
}

/**
 * Deletes stages that ended long ago, and those that were not touched for a week: a run that comes back to one of these
 * finds it closed and is refused. Also forgets when tags and manifests were pulled that their repository has no more, and what was
 * deleted a week ago: a follower that was away longer finds out by what it is not told of (docs/decisions/0021).
 */
export async function sweepRecords(db: Database): Promise<void> {
  await db.query(
    `update stage set state = 'closed', touched_at = now() where state = 'open' and touched_at < now() - make_interval(days => $1)`,
    [abandonedStageDays],
  )
  for (const table of stageTables)
    await db.query(`delete from ${table} using stage where stage.id = ${table}.stage and stage.state <> 'open'`)
  await db.query(`delete from stage where state <> 'open' and touched_at < now() - make_interval(days => $1)`, [
    abandonedStageDays,
  ])
  for (const table of ['deleted_distribution', 'deleted_repository'])
    await db.query(`delete from ${table} where deleted_at < now() - make_interval(days => $1)`, [toldOfDeletionsDays])
  await db.query('delete from forgotten_trace where not exists (select from repository where id = repository_id)')
  for (const { table, key, members } of [
    { table: 'tag_pull', key: 'name', members: 'tag_interval' },
    { table: 'manifest_pull', key: 'digest', members: 'manifest_interval' },
  ])
    await db.query(
      `delete from ${table} as pull
       where pulled_at < now() - make_interval(days => $1)
         and not exists (
           select
           from ${members} as member
           where member.repository_id = pull.repository_id
             and member.${key} = pull.${key})`,
      [pulledBeforeDays],
    )
}
