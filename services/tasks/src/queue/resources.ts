import type { Transaction } from '@berth/service'
import { workWaiting } from './doorbell.ts'

// Of those that wait for one thing the first are next; a kind that is missed by this finds out within seconds, for workers poll too.
const mostLooked = 50

// What is freed is there still when the others are read; its task waits no more. States are looked at last: there is an index of all that
// wait, and going through it for each task seems as cheap as its key while the table is empty and the plan is made.
const freeAndFindNext = `
  with freed as (
    delete from task_resource
    where task = $1
    returning resource)
  select distinct on (next.kind) next.kind, next.id
  from freed
  cross join (values (true), (false)) as mode (exclusive)
  cross join lateral (
    select task
    from task_resource
    where task_resource.resource = freed.resource
      and task_resource.exclusive = mode.exclusive
    order by seq
    limit ${mostLooked}) as first
  cross join lateral (
    select kind, id, seq, state
    from task
    where task.id = first.task
    offset 0) as next
  where next.state = 'waiting'
  order by next.kind, next.seq`

/**
 * Frees what a task held or waited for, and has workers told of the kinds of waiting tasks for which that may have cleared the
 * way: once a kind, as a worker goes on claiming until there is nothing left. `isPlannedOnce`: its plan is kept, made where the tables may
 * be empty, so the transaction must have set that it goes by indexes.
 */
export async function freeResources(sql: Transaction, taskId: string, isPlannedOnce = false): Promise<void> {
  type Next = { kind: string; id: string }
  const next = await (isPlannedOnce
    ? sql.prepared<Next>('free-resources', freeAndFindNext, [taskId])
    : sql.query<Next>(freeAndFindNext, [taskId]))
  for (const row of next) sql.afterCommit(workWaiting, { ...row, occasion: `after-${taskId}` })
}
