import { type Database, Problem, type Transaction } from '@berth/service'
import { freeResources } from './resources.ts'
import { hasEnded, recordChange, type TaskRow, taskColumns } from './row.ts'

/**
 * Cancels a task: at once while it waits; while it runs, its worker hears of it at its next heartbeat, within a second or two.
 * Its own tasks are cancelled with it. Asking twice is fine. 409 when it has ended.
 */
export async function cancelTask(db: Database, id: string): Promise<TaskRow> {
  return db.transaction(async (sql) => {
    // Locked before it is judged: a claim that commits meanwhile is seen, and the task then cancelled as a running one.
    const [task] = await sql.query<TaskRow>(
      `select ${taskColumns}
       from task
       where id = $1
       for update`,
      [id],
    )
    if (!task || hasEnded(task.state)) {
      throw new Problem(409, 'task_ended', `Task ${id} has ended: it is ${task?.state ?? 'gone'}.`, {
        hint: 'What has ended cannot be cancelled.',
      })
    }
    if (task.state === 'running') {
      await sql.query('update task set cancel_requested = true where id = $1', [id])
      await cancelChildren(sql, id)
      return task
    }
    const [row] = await sql.query<TaskRow>(
      `update task
       set state = 'cancelled', cancel_requested = true, finished_at = now()
       where id = $1
       returning ${taskColumns}`,
      [id],
    )
    if (!row) throw new Error(`task ${id} vanished while it was locked`)
    await recordChange(sql, [row])
    await freeResources(sql, id)
    return row
  })
}

/** Cancels what of a task's own tasks has not ended, as `cancelTask` does. */
export async function cancelChildren(sql: Transaction, parent: string): Promise<void> {
  const children = await sql.query<{ id: string; state: string }>(
    `select id, state
     from task
     where parent = $1
       and state in ('waiting', 'running')
     order by id
     for update`,
    [parent],
  )
  for (const { id } of children) {
    const [row] = await sql.query<TaskRow>(
      `update task
       set
         cancel_requested = true,
         state = case when state = 'waiting' then 'cancelled' else state end,
         finished_at = case when state = 'waiting' then now() end
       where id = $1
       returning ${taskColumns}`,
      [id],
    )
    if (row?.state !== 'cancelled') continue
    await recordChange(sql, [row])
    await freeResources(sql, id)
  }
}
