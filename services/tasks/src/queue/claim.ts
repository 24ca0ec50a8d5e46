import type { ClaimedTask, TasksCommands } from '@berth/commands'
import { badField, type Database } from '@berth/service'
import { actorOf, recordChange, type TaskRow, taskColumns } from './row.ts'

const longestLeaseSeconds = 3_600

/** Throws 400 for a lease that is no time at all, or so long that a lost worker would not be noticed. */
export function checkLease(leaseSeconds: number): void {
  if (!(leaseSeconds > 0 && leaseSeconds <= longestLeaseSeconds))
    throw badField('leaseSeconds', `is not above 0 and at most ${longestLeaseSeconds}`)
}

// Locks are those of tasks that wait or run. `offset 0` keeps the looks as they stand, each by an index: made into joins, and planned when
// the tables were empty, one would compare all with all.
const isBlocked = `exists (
  select
  from task_resource as mine
  where mine.task = candidate.id
    and (
      exists (
        select
        from task_resource as earlier
        where earlier.resource = mine.resource
          and earlier.exclusive = any(case when mine.exclusive then array[true, false] else array[true] end)
          and earlier.seq < mine.seq
        offset 0)
      or exists (
        select
        from task as holder
        where holder.state = 'running'
          and holder.seq > candidate.seq
          and exists (
            select
            from task_resource as held
            where held.task = holder.id
              and held.resource = mine.resource
              and (held.exclusive or mine.exclusive)
            offset 0)
        offset 0))
  offset 0)`

// The first of each kind: of several kinds together no index has the order. That it waits still is asked so that no index of those that
// wait answers: while the table is empty, going through that one seems as cheap as the key.
const takeFirst = `
  update task
  set
    state = 'running',
    worker = $2,
    lease_until = now() + make_interval(secs => $3),
    attempt = attempt + 1,
    fence = fence + 1,
    started_at = coalesce(started_at, now())
  where state || '' = 'waiting'
    and id = (
      select first.id
      from unnest($1::text[]) as wanted (kind)
      cross join lateral (
        select candidate.id, candidate.seq
        from task as candidate
        where candidate.state = 'waiting'
          and candidate.kind = wanted.kind
          and (candidate.not_before is null or candidate.not_before <= now())
          and not ${isBlocked}
        order by candidate.seq
        limit 1) as first
      order by first.seq
      limit 1)
  returning ${taskColumns}, task.payload, task.fence, task.failed_only as "failedOnly", task.traceparent`

// With it the setting under which the look is planned: the plan is kept, and the tables may be empty now and large later.
const takeTurn = `
  select pg_advisory_xact_lock(hashtextextended('berth tasks claim', 0)), set_config('enable_seqscan', 'off', true),
    set_config('enable_bitmapscan', 'off', true)`

type Claimed = TaskRow & { payload: unknown; fence: number; failedOnly: boolean; traceparent: string | null }

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
    await sql.prepared('claim-lock', takeTurn, [])
    const [row] = await sql.prepared<Claimed>('claim', takeFirst, [kinds, worker, leaseSeconds])
    if (!row) return null
    await recordChange(sql, [row])
    const { id, kind, payload, fence, attempt, retryOf, failedOnly, traceparent } = row
    const retry = retryOf === null ? null : { of: retryOf, failedOnly }
    return { id, kind, payload, fence, attempt, actor: actorOf(row), retry, ...(traceparent && { traceparent }) }
  })
}
