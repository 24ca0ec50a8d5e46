import { randomUUID } from 'node:crypto'
import { type Actor, type Database, Problem } from '@berth/service'
import { currentTraceparent } from '@berth/tracing'
import { workWaiting } from './doorbell.ts'
import { recordChange, type TaskRow, taskColumns } from './row.ts'

/**
 * Queues a task that does again what one was to do that failed or was cancelled, for whoever asks now: with the same payload, locks and
 * objects. With `failedOnly` also one that went well but for some failures. 409 for any other one.
 */
export async function retryTask(
  db: Database,
  task: { id: string; state: string; result: unknown },
  { failedOnly, actor }: { failedOnly: boolean; actor: Actor },
): Promise<TaskRow> {
  const { failureCount = 0 } = (task.result ?? {}) as { failureCount?: number }
  const isPartial = failedOnly && task.state === 'completed' && failureCount > 0
  if (task.state !== 'failed' && task.state !== 'cancelled' && !isPartial)
    throw new Problem(409, 'task_not_failed', `Task ${task.id} is ${task.state}.`, {
      hint: 'What has failed or was cancelled can be tried again.',
    })
  return db.transaction(async (sql) => {
    const id = randomUUID()
    const [row] = await sql.query<TaskRow>(
      `insert into task (id, kind, payload, resources, exclusive_resources, actor, actor_id, retry_of, failed_only, traceparent)
       select $2, kind, payload, resources, exclusive_resources, $3, $4, id, $5, $6
       from task
       where id = $1
       returning ${taskColumns}`,
      [task.id, id, actor.name, actor.id, failedOnly, currentTraceparent() ?? null],
    )
    if (!row) throw new Error(`task ${task.id} was forgotten while it was tried again`)
    await sql.query(
      `insert into task_resource (task, seq, resource, exclusive)
       select task.id, task.seq, resource, coalesce(resource = any(task.exclusive_resources), true)
       from task
       cross join unnest(task.resources) as resource
       where task.id = $1`,
      [id],
    )
    await sql.query(
      `insert into task_object (task, place, kind, object_id, name, owner_id)
       select $2, place, kind, object_id, name, owner_id
       from task_object
       where task = $1`,
      [task.id, id],
    )
    await recordChange(sql, [row])
    sql.afterCommit(workWaiting, { kind: row.kind, id, occasion: 'created' })
    return row
  })
}
