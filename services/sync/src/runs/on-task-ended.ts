import type { CloudEvent, TaskChanged } from '@berth/bus'
import type { Transaction } from '@berth/service'
import { endRun, type RunIds } from '../steps/record-run.ts'

/**
 * Ends the run of a task that ended without its worker: cancelled while it waited, or given up after its workers were lost. A
 * worker that ends a run notes it before it reports, so then there is nothing left to do. Answers how a run ended by this.
 */
export async function onTaskEnded(sql: Transaction, event: CloudEvent): Promise<'failed' | 'cancelled' | undefined> {
  const { taskId, kind, state, error } = event.data as TaskChanged
  if (kind !== 'sync' || (state !== 'failed' && state !== 'cancelled')) return undefined
  const [run] = await sql.query<RunIds>(
    `select id, task_id as "taskId", remote_id as "remoteId", remote_name as "remoteName", repository_id as "repositoryId",
       repository_name as "repositoryName", actor, actor_id as "actorId", dry_run as "dryRun"
     from sync_run
     where task_id = $1
       and state in ('waiting', 'running')`,
    [taskId],
  )
  const reason = error ?? { code: state, message: `The task of this sync was ${state}.` }
  return run && (await endRun(sql, run, state, reason)) ? state : undefined
}
