import type { AccessObject } from '@berth/access'
import { isUuid, notFound, type Sql } from '@berth/service'

type LastRun = {
  task: string | null
  state: string
  at: string
  error: { code: string; message: string } | null
}
export type Schedule = {
  id: string
  name: string
  cron: string
  timeZone: string
  kind: string
  parameters: Record<string, unknown>
  paused: boolean
  pausedBecause: string | null
  overlap: 'skip' | 'queue'
  missed: 'once' | 'skip'
  jitterSeconds: number
  /** Null: Berth itself. */
  runAsId: string | null
  runAs: string
  ownerId: string | null
  nextAt: Date | null
  createdBy: string
  createdById: string | null
  createdAt: Date
  updatedAt: Date
  lastRun: LastRun | null
}

const lastRun = `(
  select jsonb_build_object(
    'task', case when has_task then task end, 'state', state, 'error', error,
    'at', to_char(started_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'))
  from schedule_run
  where schedule_id = schedule.id
  order by id desc
  limit 1)`

export const scheduleColumns = `schedule.id, schedule.name, cron, time_zone as "timeZone", kind, parameters, paused, paused_because as "pausedBecause",
  overlap, missed, jitter_seconds as "jitterSeconds", run_as_id as "runAsId", run_as as "runAs", owner_id as "ownerId",
  next_at as "nextAt", created_by as "createdBy", created_by_id as "createdById", created_at as "createdAt", updated_at as "updatedAt",
  ${lastRun} as "lastRun"`

const by = (idOrName: string) => (isUuid(idOrName) ? 'id = $1::uuid' : 'name = $1')

/** A schedule by id or name. Throws 404. */
export async function findSchedule(sql: Sql, idOrName: string): Promise<Schedule> {
  const [row] = await sql.query<Schedule>(`select ${scheduleColumns} from schedule where ${by(idOrName)}`, [idOrName])
  if (!row) throw notFound('schedule', idOrName)
  return row
}

/** What is decided by of a schedule, by id or name. */
export async function scheduleObject(sql: Sql, idOrName: string): Promise<AccessObject | undefined> {
  const [row] = await sql.query<{ id: string; name: string; ownerId: string | null }>(
    `select id, name, owner_id as "ownerId" from schedule where ${by(idOrName)}`,
    [idOrName],
  )
  return row && { kind: 'schedule', ...row }
}

export function showSchedule(row: Schedule) {
  const { id, name, cron, timeZone, kind, parameters, paused, pausedBecause, overlap, missed, jitterSeconds } = row
  return {
    id,
    name,
    cron,
    timeZone,
    kind,
    parameters,
    paused,
    pausedBecause,
    overlap,
    missed,
    jitterSeconds,
    runAs: row.runAs,
    runAsId: row.runAsId,
    // A paused one is not due, whenever it would be.
    nextRun: paused ? null : (row.nextAt?.toISOString() ?? null),
    lastRun: row.lastRun,
    createdBy: row.createdBy,
    createdById: row.createdById,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  }
}
