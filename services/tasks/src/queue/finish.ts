import type { TasksCommands } from '@berth/commands'
import { type Database, notFound } from '@berth/service'
import { appendLines } from '../log/append.ts'
import { taskLost } from './heartbeat.ts'
import { freeResources } from './resources.ts'
import { recordChange, type TaskRow, taskColumns } from './row.ts'

/**
 * Ends a task as its worker says; the same end again is fine, because a worker reports it until it is acknowledged. A task
 * that was to be cancelled but got done first is completed. Throws `task_lost` for a worker that lost it.
 */
export async function finishTask(db: Database, request: TasksCommands['finish-task']['request']): Promise<void> {
  return db.transaction(async (sql) => {
    const [task] = await sql.query<{ state: string; fence: number }>(
      `select state, fence
       from task
       where id = $1
       for update`,
      [request.id],
    )
    if (!task) throw notFound('task', request.id)
    if (task.fence === request.fence && task.state === request.state) return
    if (task.fence !== request.fence || task.state !== 'running') throw taskLost(request.id)
    const rows = await sql.query<TaskRow>(
      `update task
       set
         state = $2,
         result = $3,
         error = $4,
         progress = coalesce($5::jsonb, progress),
         finished_at = now(),
         worker = null,
         lease_until = null
       where id = $1
       returning ${taskColumns}`,
      [request.id, request.state, json(request.result), json(request.error), json(request.progress)],
    )
    await appendLines(sql, request, request.log)
    await recordChange(sql, rows)
    await freeResources(sql, request.id)
  })
}

function json(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value)
}
