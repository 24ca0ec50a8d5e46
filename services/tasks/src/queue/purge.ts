import type { Database } from '@berth/service'
import { linesAtOnce } from './forget.ts'

const atOnce = 1_000

/** Forgets tasks that ended in some states so many days ago, and answers how many. One whose own tasks are still there stays. */
export async function purgeTasks(
  db: Database,
  { states, olderThanDays }: { states: readonly string[]; olderThanDays: number },
  signal: AbortSignal,
): Promise<number> {
  let purged = 0
  for (;;) {
    signal.throwIfAborted()
    const gone = await db.query(
      `delete from task
       where id in (
         select id
         from (
           select id, sum(log_lines) over (order by finished_at, id) - log_lines as lines_before
           from (
             select id, finished_at, log_lines
             from task
             where state = any($1)
               and finished_at <= now() - make_interval(days => $2)
               and not exists (select from task as own where own.parent = task.id)
             order by finished_at, id
             limit ${atOnce}) as oldest) as counted
         where lines_before < ${linesAtOnce})
       returning id`,
      [states, olderThanDays],
    )
    purged += gone.length
    // Parents follow their children, in a round of their own.
    if (gone.length === 0) return purged
  }
}
