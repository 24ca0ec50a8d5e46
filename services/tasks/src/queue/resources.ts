import type { Sql } from '@berth/service'
import type { Ring } from './doorbell.ts'

/**
 * Frees what a task held or waited for, and answers for which kinds of waiting tasks that may have cleared the way: one ring
 * a kind, as a worker goes on claiming until there is nothing left.
 */
export async function freeResources(sql: Sql, taskId: string): Promise<Ring[]> {
  const freed = await sql.query<{ resource: string }>('delete from task_resource where task = $1 returning resource', [
    taskId,
  ])
  if (freed.length === 0) return []
  const next = await sql.query<{ kind: string; id: string }>(
    `select distinct on (task.kind) task.kind, task.id from task_resource join task on task.id = task_resource.task
     where task_resource.resource = any($1) and task.state = 'waiting' order by task.kind, task.seq`,
    [freed.map((row) => row.resource)],
  )
  return next.map((row) => ({ ...row, occasion: `after-${taskId}` }))
}
