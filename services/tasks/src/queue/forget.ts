import type { Database } from '@berth/service'

const forgottenAtOnce = 500
/** Lines of their logs go with them: one statement is to have an end. */
export const linesAtOnce = 50_000

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
         from (
           select id, sum(log_lines) over (order by finished_at, id) - log_lines as lines_before
           from (
             select id, finished_at, log_lines
             from task
             where finished_at < now() - make_interval(days => $1)
               and not exists (select from task as own where own.parent = task.id)
             order by finished_at, id
             limit $2) as oldest) as counted
         where lines_before < ${linesAtOnce})
       returning id`,
      [keptDays, forgottenAtOnce],
    )
    last = rows.length
  }
  return forgotten
}
