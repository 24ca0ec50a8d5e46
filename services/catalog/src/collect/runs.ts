import { catalogEvents, recordEvents } from '@berth/bus'
import type { Database, Transaction } from '@berth/service'
import type { CollectResult } from './collect.ts'

/** A run of the collector that has begun. */
export type Run = { id: string; cause: 'interval' | 'request'; taskId: string | null; thorough: boolean }

const thoroughEveryHours = 24
const keptRuns = 1_000

/**
 * Notes that a run begins. One that Berth begins by itself lists the store if that was not done for a day, and one that was asked for
 * always does.
 */
export async function beginRun(
  db: Database,
  wanted: { cause: Run['cause']; taskId: string; graceSeconds: number },
): Promise<Run> {
  const [run] = await db.query<Run>(
    `insert into gc_run (cause, task_id, grace_seconds, thorough)
     select $1, $2, $3,
       $1 = 'request' or not exists (
         select
         from gc_run
         where thorough
           and finished_at is not null
           and error is null
           and started_at > now() - make_interval(hours => $4))
     returning id, cause, task_id as "taskId", thorough`,
    [wanted.cause, wanted.taskId, wanted.graceSeconds, thoroughEveryHours],
  )
  if (!run) throw new Error('a run of the collector was not noted')
  return run
}

/** Notes how a run ended, and announces one that removed something or was asked for. */
export async function endRun(db: Database, run: Run, outcome: CollectResult | Error): Promise<void> {
  const result = outcome instanceof Error ? null : outcome
  const error = outcome instanceof Error ? outcome.message : null
  await db.transaction(async (sql) => {
    await sql.query('update gc_run set finished_at = now(), result = $2, error = $3 where id = $1', [
      run.id,
      result && JSON.stringify(result),
      error,
    ])
    if (result && (run.cause === 'request' || result.removed + result.orphans > 0)) await announce(sql, run, result)
    await sql.query(
      `delete from gc_run
       where id in (
         select id
         from gc_run
         order by started_at desc, id desc
         offset $1)`,
      [keptRuns],
    )
  })
}

async function announce(sql: Transaction, { id, cause, taskId }: Run, result: CollectResult): Promise<void> {
  const { removed, removedBytes, orphans, orphanBytes, notFound, failed } = result
  const data = { runId: id, cause, taskId, removed, removedBytes, orphans, orphanBytes, notFound, failed }
  await recordEvents(sql, [{ kind: catalogEvents.storeCollected, data }])
}
