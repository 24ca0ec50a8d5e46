import { recordEvents, scheduleEvents } from '@berth/bus'
import { createSignal, type Database, type Transaction } from '@berth/service'
import { dueAfter, type ScheduleFields } from './change-schedules.ts'

type Due = ScheduleFields & { id: string; name: string; nextAt: Date; now: Date; isBusy: boolean }

/** Raised by each time at which Berth did not run. */
export const scheduleMissed = createSignal('schedule missed')

const atOnce = 100
/** A time that is used no later than this was not missed. */
const punctualMs = 60_000
/** What was missed longer ago is not made up. */
const madeUpWithinMs = 24 * 3_600_000

const dueSchedules = `
  select id, name, cron, time_zone as "timeZone", kind, parameters, paused, overlap, missed, jitter_seconds as "jitterSeconds",
    run_as as "runAs", run_as_id as "runAsId", next_at as "nextAt", now() as now,
    exists (
      select
      from schedule_run as run
      where run.schedule_id = schedule.id
        and run.state in ('starting', 'running')) as "isBusy"
  from schedule
  where next_at <= now()
    and not paused
  order by next_at
  limit ${atOnce}
  for update skip locked`

/**
 * Notes a run for every schedule that is due, and when it is due next, in one transaction: a time is used once, whichever replica comes to
 * it and wherever one is killed. By the clock of the database. Answers whether there may be more.
 */
export async function fireDue(db: Database): Promise<boolean> {
  return db.transaction(async (sql) => {
    const due = await sql.query<Due>(dueSchedules)
    for (const schedule of due) await fire(sql, schedule)
    return due.length === atOnce
  })
}

async function fire(sql: Transaction, schedule: Due): Promise<void> {
  const { id, name, nextAt, now, overlap, missed, isBusy } = schedule
  await sql.query('update schedule set next_at = $2 where id = $1', [id, dueAfter(schedule, now)])
  const lateMs = now.getTime() - nextAt.getTime()
  const due = nextAt.toISOString()
  if (lateMs > punctualMs) {
    const madeUp = missed === 'once' && lateMs <= madeUpWithinMs
    await recordEvents(sql, [
      { kind: scheduleEvents.missed, data: { scheduleId: id, schedule: name, due, lateMs, madeUp } },
    ])
    sql.afterCommit(scheduleMissed)
    if (!madeUp) return
  }
  if (isBusy && overlap === 'queue') {
    await sql.query('update schedule set queued = true where id = $1', [id])
    return
  }
  await sql.query(
    `insert into schedule_run (schedule_id, due_at, state, finished_at)
     values ($1, $2, $3, case when $3 = 'skipped' then now() end)`,
    [id, nextAt, isBusy ? 'skipped' : 'starting'],
  )
  if (!isBusy)
    await recordEvents(sql, [{ kind: scheduleEvents.fired, data: { scheduleId: id, schedule: name, due, lateMs } }])
}

/** Notes how the tasks of runs ended, and gives what was queued behind them its turn. */
export async function settleRuns(db: Database): Promise<void> {
  await db.transaction(async (sql) => {
    await sql.query(
      `update schedule_run as run
       set state = task.state, error = task.error, finished_at = task.finished_at
       from task
       where run.state = 'running'
         and task.id = run.task
         and task.state in ('completed', 'failed', 'cancelled')`,
    )
    const ready = await sql.query<{ id: string; name: string; now: Date }>(
      `update schedule
       set queued = false
       where queued
         and not paused
         and not exists (
           select
           from schedule_run as run
           where run.schedule_id = schedule.id
             and run.state in ('starting', 'running'))
       returning id, name, now()`,
    )
    for (const { id, name, now } of ready) {
      await sql.query(`insert into schedule_run (schedule_id, due_at, state) values ($1, $2, 'starting')`, [id, now])
      const data = { scheduleId: id, schedule: name, due: now.toISOString(), lateMs: 0 }
      await recordEvents(sql, [{ kind: scheduleEvents.fired, data }])
    }
  })
}

/** Forgets runs that ended so many days ago, but for the last one of each schedule. */
export async function forgetRuns(db: Database, keptDays: number): Promise<void> {
  await db.query(
    `delete from schedule_run as run
     where finished_at < now() - make_interval(days => $1)
       and exists (
         select
         from schedule_run as later
         where later.schedule_id = run.schedule_id
           and later.id > run.id)`,
    [keptDays],
  )
}
