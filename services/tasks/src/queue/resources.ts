import type { Transaction } from '@berth/service'
import { workWaiting } from './doorbell.ts'

/**
 * Frees what a task held or waited for, and has workers told of the kinds of waiting tasks for which that may have cleared the
 * way: once a kind, as a worker goes on claiming until there is nothing left.
 */
export async function freeResources(sql: Transaction, taskId: string): Promise<void> {
  const freed = await sql.query<{ resource: string }>('delete from task_resource where task = $1 returning resource', [
    taskId,
  ])
  if (freed.length === 0) return
  const next = await sql.query<{ kind: string; id: string }>(
    `select distinct on (task.kind) task.kind, task.id
     from task_resource
     join task on task.id = task_resource.task
     where task_resource.resource = any($1)
       and task.state = 'waiting'
     order by task.kind, task.seq`,
    [freed.map((row) => row.resource)],
  )
  for (const row of next) sql.afterCommit(workWaiting, { ...row, occasion: `after-${taskId}` })
}
