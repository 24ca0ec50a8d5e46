import type { ClaimedTask, TasksCommands } from '@berth/commands'
import { badField, type Database } from '@berth/service'
import { actorOf, recordChange, type TaskRow, taskColumns } from './row.ts'

const longestLeaseSeconds = 3_600

/** Throws 400 for a lease that is no time at all, or so long that a lost worker would not be noticed. */
export function checkLease(leaseSeconds: number): void {
  if (!(leaseSeconds > 0 && leaseSeconds <= longestLeaseSeconds))
    throw badField('leaseSeconds', `is not above 0 and at most ${longestLeaseSeconds}`)
}

const takeFirst = `
  update task
  set
    state = 'running',
    worker = $2,
    lease_until = now() + make_interval(secs => $3),
    attempt = attempt + 1,
    fence = fence + 1,
    started_at = coalesce(started_at, now())
  where state = 'waiting'
    and id = (
      select candidate.id
      from task as candidate
      where candidate.state = 'waiting'
        and candidate.kind = any($1)
        and (candidate.not_before is null or candidate.not_before <= now())
        and not exists (
          select
          from task_resource as mine
          join task_resource as other on other.resource = mine.resource
            and other.task <> mine.task
            and (other.exclusive or mine.exclusive)
          join task as holder on holder.id = other.task
          where mine.task = candidate.id
            and (holder.state = 'running' or (holder.state = 'waiting' and holder.seq < candidate.seq)))
      order by candidate.seq
      limit 1)
  returning ${taskColumns}, task.payload, task.fence, task.failed_only as "failedOnly"`

/**
 * Gives the oldest waiting task of some kinds whose resources are free: no task that runs, and none that came earlier and
 * waits, has a conflicting lock. Claims take turns under one lock, so two replicas never judge from the same picture; the
 * lock is a statement before the look, because a statement sees what was committed when it began. A later task that runs
 * counts as well: the number of a task is drawn before it is committed, so an earlier one may come to light after it.
 */
export async function claimTask(
  db: Database,
  { kinds, worker, leaseSeconds }: TasksCommands['claim-task']['request'],
): Promise<ClaimedTask | null> {
  checkLease(leaseSeconds)
  return db.transaction(async (sql) => {
    await sql.prepared('claim-lock', "select pg_advisory_xact_lock(hashtextextended('berth tasks claim', 0))", [])
    const [row] = await sql.prepared<TaskRow & { payload: unknown; fence: number; failedOnly: boolean }>(
      'claim',
      takeFirst,
      [kinds, worker, leaseSeconds],
    )
    if (!row) return null
    await recordChange(sql, [row])
    const { id, kind, payload, fence, attempt, retryOf, failedOnly } = row
    const retry = retryOf === null ? null : { of: retryOf, failedOnly }
    return { id, kind, payload, fence, attempt, actor: actorOf(row), retry }
  })
}
