import type { TasksCommands } from '@berth/commands'
import { type Database, notFound, type Sql } from '@berth/service'
import { appendLines } from '../log/append.ts'
import { taskLost } from './heartbeat.ts'
import { freeResources } from './resources.ts'
import { recordChange, type TaskRow, taskColumns } from './row.ts'

// A plan that is kept is made now, where the tables may be empty, and used when they are large.
const byIndexes = ['enable_seqscan', 'enable_bitmapscan', 'enable_sort']
  .map((setting) => `set_config('${setting}', 'off', true)`)
  .join(', ')

type Request = TasksCommands['finish-task']['request']

/**
 * Ends a task as its worker says; the same end again is fine, because a worker reports it until it is acknowledged. A task
 * that was to be cancelled but got done first is completed. Throws `task_lost` for a worker that lost it.
 */
export async function finishTask(db: Database, request: Request): Promise<void> {
  return db.transaction(async (sql) => {
    const [row] = await sql.prepared<TaskRow & { logLines: number }>(
      'finish',
      `update task
       set
         state = $3,
         result = $4,
         error = $5,
         progress = coalesce($6::jsonb, progress),
         finished_at = now(),
         worker = null,
         lease_until = null
       where id = $1
         and fence = $2
         and state = 'running'
       returning ${taskColumns}, log_lines as "logLines", ${byIndexes}`,
      [request.id, request.fence, request.state, json(request.result), json(request.error), json(request.progress)],
    )
    if (!row) return requireSameEnd(sql, request)
    await appendLines(sql, request, row.logLines, request.log)
    await recordChange(sql, [row])
    await freeResources(sql, request.id, true)
  })
}

/** Throws unless the task has this end already. */
async function requireSameEnd(sql: Sql, { id, fence, state }: Request): Promise<void> {
  const [task] = await sql.query<{ state: string; fence: number }>('select state, fence from task where id = $1', [id])
  if (!task) throw notFound('task', id)
  if (task.fence !== fence || task.state !== state) throw taskLost(id)
}

function json(value: unknown): string | null {
  return value === undefined || value === null ? null : JSON.stringify(value)
}
