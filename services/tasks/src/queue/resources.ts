import type { Transaction } from '@berth/service'
import { workWaiting } from './doorbell.ts'

// Of those that wait for one thing the first are next; a kind that is missed by this finds out within seconds, for workers poll too.
const mostLooked = 20

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
    `select distinct on (next.kind) next.kind, next.id
     from unnest($1::text[]) as freed (resource)
     cross join (values (true), (false)) as mode (exclusive)
     cross join lateral (
       select task.kind, task.id, task.seq
       from task_resource as wanted
       join task on task.id = wanted.task
       where wanted.resource = freed.resource
         and wanted.exclusive = mode.exclusive
         and task.state = 'waiting'
       order by wanted.seq
       limit ${mostLooked}) as next
     order by next.kind, next.seq`,
    [freed.map((row) => row.resource)],
  )
  for (const row of next) sql.afterCommit(workWaiting, { ...row, occasion: `after-${taskId}` })
}
