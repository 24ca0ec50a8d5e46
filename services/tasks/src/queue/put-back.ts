import type { TasksCommands } from '@berth/commands'
import { type Database, notFound } from '@berth/service'
import { appendLines } from '../log/append.ts'
import { taskLost } from './heartbeat.ts'
import { freeResources } from './resources.ts'
import { recordChange, type TaskRow, taskColumns } from './row.ts'
import { itemsDone } from './sweep.ts'

/** How often a task is tried again because a database or a service that it needs was away. */
const mostPutBack = 5
const firstPauseSeconds = 1

type Held = {
  state: string
  fence: number
  putBack: number
  logLines: number
  cancelRequested: boolean
  done: number
  furthest: number
}

/**
 * Has a task tried again, in its old place in the order, after 1, 2, 4, 8 and 16 seconds; workers poll, so none of them is told.
 * The sixth time it has failed, unless it got further in between than ever before. Throws `task_lost` for a worker that lost it, also when it tells the same twice.
 */
export async function putBack(db: Database, request: TasksCommands['put-back-task']['request']): Promise<void> {
  return db.transaction(async (sql) => {
    const [task] = await sql.query<Held>(
      `select state, fence, put_back as "putBack", log_lines as "logLines", cancel_requested as "cancelRequested", furthest,
         ${itemsDone('coalesce($2::jsonb, progress)')} as done
       from task
       where id = $1
       for update`,
      [request.id, request.progress ? JSON.stringify(request.progress) : null],
    )
    if (!task) throw notFound('task', request.id)
    if (task.fence !== request.fence || task.state !== 'running') throw taskLost(request.id)
    const putBack = task.done > task.furthest ? 0 : task.putBack
    const state = task.cancelRequested ? 'cancelled' : putBack < mostPutBack ? 'waiting' : 'failed'
    const pauseSeconds = firstPauseSeconds * 2 ** putBack
    const rows = await sql.query<TaskRow>(
      `update task
       set state = $2, error = $3, progress = coalesce($4::jsonb, progress), worker = null, lease_until = null,
         put_back = $6, furthest = greatest(furthest, $7), not_before = now() + make_interval(secs => $5),
         finished_at = case when $2 = 'waiting' then null else now() end
       where id = $1
       returning ${taskColumns}`,
      [
        request.id,
        state,
        state === 'failed' ? JSON.stringify(request.error) : null,
        request.progress ? JSON.stringify(request.progress) : null,
        pauseSeconds,
        putBack + 1,
        task.done,
      ],
    )
    await appendLines(sql, request, task.logLines, request.log)
    await recordChange(sql, rows)
    if (state !== 'waiting') await freeResources(sql, request.id)
  })
}
