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
  if (!request.log) {
    const { cancelled } = await renew(db, request)
    return { cancelled }
  }
  return db.transaction(async (sql) => {
    const { logLines, cancelled } = await renew(sql, request)
    await appendLines(sql, request, logLines, request.log)
    return { cancelled }
  })
}

async function renew(
  sql: Pick<Sql, 'prepared'>,
  request: TasksCommands['renew-task']['request'],
): Promise<{ cancelled: boolean; logLines: number }> {
  const [row] = await sql.prepared<{ cancelled: boolean; logLines: number }>(
    'heartbeat',
    `update task
     set lease_until = now() + make_interval(secs => $3), progress = coalesce($4::jsonb, progress)
     where id = $1
       and fence = $2
       and state = 'running'
     returning cancel_requested as cancelled, log_lines as "logLines"`,
    [request.id, request.fence, request.leaseSeconds, request.progress ? JSON.stringify(request.progress) : null],
  )
  if (!row) throw taskLost(request.id)
  return row
}
