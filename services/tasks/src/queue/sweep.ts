import type { Database, Sql } from '@berth/service'
import type { Ring } from './doorbell.ts'
import { freeResources } from './resources.ts'
import { recordChange, type TaskRow, taskColumns } from './row.ts'

/** How often a task is tried before its loss counts as its own fault (features.md §11). */
const mostAttempts = 5
const sweptAtOnce = 100

/**
 * Takes tasks from workers whose lease ran out, by the database's clock. They wait again, in their old place in the order;
 * after the last attempt they have failed, and those that were to be cancelled are. Answers for what to ring.
 */
export async function sweepLeases(db: Database): Promise<{ tasks: TaskRow[]; rings: Ring[] }> {
  return db.transaction(async (sql) => {
    const lost = await sql.query<{ id: string; attempt: number; cancelRequested: boolean }>(
      `select id, attempt, cancel_requested as "cancelRequested" from task where state = 'running' and lease_until < now()
       order by seq limit $1 for update skip locked`,
      [sweptAtOnce],
    )
    const tasks: TaskRow[] = []
    const rings: Ring[] = []
    for (const one of lost) {
      const task = await takeBack(sql, one)
      tasks.push(task)
      if (task.state === 'waiting') rings.push({ kind: task.kind, id: task.id, occasion: `attempt-${task.attempt}` })
      else rings.push(...(await freeResources(sql, task.id)))
    }
    await recordChange(sql, tasks)
    return { tasks, rings }
  })
}

async function takeBack(
  sql: Sql,
  { id, attempt, cancelRequested }: { id: string; attempt: number; cancelRequested: boolean },
): Promise<TaskRow> {
  const state = cancelRequested ? 'cancelled' : attempt >= mostAttempts ? 'failed' : 'waiting'
  const error =
    state === 'failed'
      ? { code: 'worker_lost', message: `The workers of all ${mostAttempts} attempts were lost before the end.` }
      : null
  const [row] = await sql.query<TaskRow>(
    `update task set state = $2, error = $3, worker = null, lease_until = null,
       finished_at = case when $2 = 'waiting' then null else now() end where id = $1 returning ${taskColumns}`,
    [id, state, error && JSON.stringify(error)],
  )
  if (!row) throw new Error(`task ${id} vanished while it was locked`)
  return row
}
