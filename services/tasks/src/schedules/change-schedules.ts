import { randomUUID } from 'node:crypto'
import { recordEvents, scheduleEvents } from '@berth/bus'
import { type Actor, badField, noteAudit, Problem, type Sql, sqlState, type Transaction } from '@berth/service'
import { BadCron, checkCron, everySeconds, isTimeZone, nextRun } from './next-run.ts'
import type { Schedule } from './schedule.ts'

/** What can be set about a schedule. */
export type ScheduleFields = Pick<
  Schedule,
  'cron' | 'timeZone' | 'kind' | 'parameters' | 'paused' | 'overlap' | 'missed' | 'jitterSeconds' | 'runAs' | 'runAsId'
>

/** Throws 400 that names the field, and of a cron expression the place. */
export function checkTimes({ cron, timeZone }: Pick<ScheduleFields, 'cron' | 'timeZone'>): void {
  try {
    checkCron(cron)
  } catch (error) {
    if (!(error instanceof BadCron)) throw error
    throw badField('cron', `cannot be read at character ${error.position + 1}: ${error.message}`, 'As in 30 2 * * 1-5.')
  }
  if (!isTimeZone(timeZone))
    throw badField(
      'timeZone',
      `"${timeZone}" is no time zone`,
      'Name one of the IANA database, as Europe/Berlin or UTC.',
    )
  if (!nextRun(cron, timeZone, new Date()))
    throw badField('cron', 'names a time that never comes', 'No February has a 30th.')
}

const leastSeconds = 60

/** Throws 400 for what would come more often than once a minute, as no five fields can. */
export function checkPace(cron: string): void {
  const every = everySeconds(cron)
  if (every !== undefined && every < leastSeconds)
    throw badField('cron', 'comes more often than once a minute', 'Write @every 60s, or more.')
}

/** When a schedule is due next, with its jitter; `null` where that is never. */
export function dueAfter({ cron, timeZone, jitterSeconds }: ScheduleFields, after: Date): Date | null {
  const next = nextRun(cron, timeZone, after)
  return next ? new Date(next.getTime() + Math.floor(Math.random() * (jitterSeconds + 1)) * 1_000) : null
}

/** Makes a schedule and answers its id. Throws 409 when the name is taken. */
export async function insertSchedule(
  sql: Sql,
  { name, ownerId, ...fields }: ScheduleFields & { name: string; ownerId: string | null },
  actor: Actor,
): Promise<string> {
  const id = randomUUID()
  noteAudit({ object: { kind: 'schedule', id, name } })
  try {
    await sql.query(
      `insert into schedule
         (id, name, owner_id, created_by, created_by_id, next_at, cron, time_zone, kind, parameters, paused, overlap, missed,
           jitter_seconds, run_as, run_as_id)
       values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)`,
      [id, name, ownerId, actor.name, actor.id, ...valuesOf(fields)],
    )
    return id
  } catch (error) {
    if (sqlState(error) !== '23505') throw error
    throw new Problem(409, 'name_taken', `There is a schedule "${name}" already.`, {
      field: 'name',
      hint: 'Choose another name, or change that one.',
      cause: error,
    })
  }
}

/** Changes a schedule. One that is no longer paused is due next from now on: what was missed meanwhile is not made up. */
export async function updateSchedule(sql: Sql, id: string, fields: ScheduleFields): Promise<void> {
  await sql.query(
    `update schedule
     set next_at = $2, cron = $3, time_zone = $4, kind = $5, parameters = $6, paused = $7, overlap = $8, missed = $9,
       jitter_seconds = $10, run_as = $11, run_as_id = $12, updated_at = now(),
       paused_because = case when $7 then paused_because end,
       queued = queued and $8 = 'queue'
     where id = $1`,
    [id, ...valuesOf(fields)],
  )
}

function valuesOf(fields: ScheduleFields): unknown[] {
  const { cron, timeZone, kind, parameters, paused, overlap, missed, jitterSeconds, runAs, runAsId } = fields
  const next = dueAfter(fields, new Date())
  return [
    next,
    cron,
    timeZone,
    kind,
    JSON.stringify(parameters),
    paused,
    overlap,
    missed,
    jitterSeconds,
    runAs,
    runAsId,
  ]
}

/** Pauses a schedule that cannot go on, and announces why. */
export async function pauseSchedule(sql: Transaction, id: string, reason: string): Promise<void> {
  const [row] = await sql.query<{ name: string }>(
    `update schedule
     set paused = true, paused_because = $2, queued = false, updated_at = now()
     where id = $1 and not paused
     returning name`,
    [id, reason],
  )
  if (row)
    await recordEvents(sql, [{ kind: scheduleEvents.paused, data: { scheduleId: id, schedule: row.name, reason } }])
}
