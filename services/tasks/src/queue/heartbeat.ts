import type { TasksCommands } from '@berth/commands'
import { type Database, Problem, type Sql } from '@berth/service'
import { appendLines } from '../log/append.ts'
import { checkLease } from './claim.ts'

/** What a worker hears that no longer holds its task; it has to stop without another write. */
export function taskLost(id: string): Problem {
  return new Problem(409, 'task_lost', `Task ${id} is not this worker's any more.`, {
    hint: 'Its lease ran out; another worker has it, or will.',
  })
}

/** Renews a lease and notes how far the work is. Answers whether the task is to be cancelled; throws `task_lost`. */
export async function renewLease(
  db: Database,
  request: TasksCommands['renew-task']['request'],
): Promise<{ cancelled: boolean }> {
  checkLease(request.leaseSeconds)
  if (!request.log) return renew(db, request)
  return db.transaction(async (sql) => {
    const renewed = await renew(sql, request)
    await appendLines(sql, request, request.log)
    return renewed
  })
}

async function renew(
  sql: Pick<Sql, 'prepared'>,
  request: TasksCommands['renew-task']['request'],
): Promise<{ cancelled: boolean }> {
  const [row] = await sql.prepared<{ cancelled: boolean }>(
    'heartbeat',
    `update task
     set lease_until = now() + make_interval(secs => $3), progress = coalesce($4::jsonb, progress)
     where id = $1
       and fence = $2
       and state = 'running'
     returning cancel_requested as cancelled`,
    [request.id, request.fence, request.leaseSeconds, request.progress ? JSON.stringify(request.progress) : null],
  )
  if (!row) throw taskLost(request.id)
  return row
}
