import type { Database } from '@berth/service'

const forgottenAtOnce = 500

/**
 * Forgets tasks that ended so many days ago, and answers how many. One whose own tasks are still there stays until they have gone.
 */
export async function forgetTasks(db: Database, keptDays: number, signal: AbortSignal): Promise<number> {
  let forgotten = 0
  for (let last = forgottenAtOnce; last > 0 && !signal.aborted; forgotten += last) {
    const rows = await db.query(
      `delete from task
       where id in (
         select id
         from task
         where finished_at < now() - make_interval(days => $1)
           and not exists (select from task as own where own.parent = task.id)
         limit $2)
       returning id`,
      [keptDays, forgottenAtOnce],
    )
    last = rows.length
  }
  return forgotten
}
