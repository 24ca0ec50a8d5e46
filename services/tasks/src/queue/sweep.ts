import type { Database, Sql } from '@berth/service'
import { noteLostWorker } from '../log/append.ts'
import { workWaiting } from './doorbell.ts'
import { freeResources } from './resources.ts'
import { recordChange, type TaskRow, taskColumns } from './row.ts'

/**
 * How many workers in a row a task may lose before that counts as its own fault (docs/guarantees.md, K2). Those that got
 * further than any before them do not count: a task whose workers are killed often, and that gets on in between, comes to an
 * end.
 */
const mostStuck = 5
/** What is done can be little each time, and need not last. */
const mostAttempts = 100
const sweptAtOnce = 100

/**
 * Takes tasks from workers whose lease ran out, by the database's clock. They wait again, in their old place in the order;
 * when that happened too often they have failed, and those that were to be cancelled are.
 */
export async function sweepLeases(db: Database): Promise<TaskRow[]> {
  return db.transaction(async (sql) => {
    const lost = await sql.query<Lost>(
      `select id, fence, attempt, stuck, furthest, cancel_requested as "cancelRequested", ${itemsDone('progress')} as done
       from task
       where state = 'running'
         and lease_until < now()
       order by seq
       limit $1
       for update skip locked`,
      [sweptAtOnce],
    )
    const tasks: TaskRow[] = []
    for (const one of lost) {
      const task = await takeBack(sql, one)
      tasks.push(task)
      await noteLostWorker(sql, one, `the worker of attempt ${task.attempt} was lost`)
      const occasion = `attempt-${task.attempt}`
      if (task.state === 'waiting') sql.afterCommit(workWaiting, { kind: task.kind, id: task.id, occasion })
      else await freeResources(sql, task.id)
    }
    await recordChange(sql, tasks)
    return tasks
  })
}

type Lost = {
  id: string
  fence: number
  attempt: number
  stuck: number
  furthest: number
  done: number
  cancelRequested: boolean
}

/** How many things are done by a progress, as SQL. Bytes do not count: half a blob is fetched again. */
export const itemsDone = (
  progress: string,
) => `(select coalesce(sum((phase ->> 'done')::numeric), 0)::bigint from jsonb_array_elements(${progress}) as phase
  where phase ->> 'unit' <> 'bytes')`

async function takeBack(sql: Sql, lost: Lost): Promise<TaskRow> {
  const { id, attempt, done, cancelRequested } = lost
  const stuck = done > lost.furthest ? 0 : lost.stuck + 1
  const isHopeless = stuck >= mostStuck || attempt >= mostAttempts
  const state = cancelRequested ? 'cancelled' : isHopeless ? 'failed' : 'waiting'
  const message =
    stuck >= mostStuck
      ? `The workers of ${mostStuck} attempts in a row were lost, and none of them had got any further.`
      : `The workers of all ${mostAttempts} attempts were lost before the end.`
  const error = state === 'failed' ? { code: 'worker_lost', message } : null
  const [row] = await sql.query<TaskRow>(
    `update task
     set
       state = $2,
       error = $3,
       stuck = $4,
       furthest = greatest(furthest, $5),
       worker = null,
       lease_until = null,
       finished_at = case when $2 = 'waiting' then null else now() end
     where id = $1
     returning ${taskColumns}`,
    [id, state, error && JSON.stringify(error), stuck, done],
  )
  if (!row) throw new Error(`task ${id} vanished while it was locked`)
  return row
}
