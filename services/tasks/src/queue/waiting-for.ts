import type { Principal, Sql } from '@berth/service'
import { seenBy } from '../visible.ts'

/** What a task waits for: a resource and the task that has it, or comes first. Without both where the caller may not see that task. */
export type WaitingFor = { resource: string | null; task: string | null; hidden: boolean }

const mostShown = 100

/** The first task in the way of a waiting one, for each of its resources; by the same rule by which tasks are claimed. */
export async function readWaitingFor(sql: Sql, id: string, caller: Principal): Promise<WaitingFor[]> {
  const seen = seenBy(caller, 3)
  const rows = await sql.query<{ resource: string; task: string; isSeen: boolean }>(
    `with blocking as (
       select distinct on (mine.resource) mine.resource, holder.id
       from task_resource as mine
       join task as waiting on waiting.id = mine.task and waiting.state = 'waiting'
       join task_resource as other on other.resource = mine.resource
         and other.task <> mine.task
         and (other.exclusive or mine.exclusive)
       join task as holder on holder.id = other.task
       where mine.task = $1
         and (holder.state = 'running' or (holder.state = 'waiting' and holder.seq < waiting.seq))
       order by mine.resource, holder.state = 'running' desc, holder.seq
       limit $2)
     select blocking.resource, blocking.id as task, ${seen.condition} as "isSeen"
     from blocking
     join task on task.id = blocking.id
     order by blocking.resource`,
    [id, mostShown, ...seen.values],
  )
  return rows.map(({ resource, task, isSeen }) =>
    isSeen ? { resource, task, hidden: false } : { resource: null, task: null, hidden: true },
  )
}
