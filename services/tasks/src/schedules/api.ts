import { randomUUID } from 'node:crypto'
import { toSql } from '@berth/access'
import type { AuthCommands, CommandClient } from '@berth/commands'
import {
  actorOf,
  badCursor,
  type Database,
  type Handlers,
  ownerOf,
  type PageRequest,
  type Principal,
  Problem,
  readPage,
  requireVerb,
  toPage,
} from '@berth/service'
import type { operations } from '../openapi-types.ts'
import { checkPace, checkTimes, insertSchedule, type ScheduleFields, updateSchedule } from './change-schedules.ts'
import { callOperation, type Owners } from './kinds.ts'
import { readRunAs } from './run-as.ts'
import { findSchedule, type Schedule, scheduleColumns, showSchedule } from './schedule.ts'

type Deps = {
  db: Database
  auth: CommandClient<AuthCommands>
  owners: Owners
  /** Something is to be started. */
  onRun: () => void
}
type RunRow = {
  id: number
  dueAt: Date
  startedAt: Date
  finishedAt: Date | null
  state: string
  task: string | null
  error: { code: string; message: string } | null
}

/** The API of schedules. */
export function scheduleHandlers({ db, auth, owners, onRun }: Deps) {
  /** Throws what the request would answer that the schedule stands for, if its account sent it now. */
  const check = async ({ kind, parameters, runAsId }: ScheduleFields, requestId: string) => {
    const call = { kind, parameters, accountId: runAsId, taskId: randomUUID(), checkOnly: true }
    await callOperation(owners, call, { requestId })
  }
  return {
    listSchedules: async ({ query, principal }) => {
      const page = readPage(query)
      const columns = { name: 'schedule.name', id: 'schedule.id', owner: 'schedule.owner_id' }
      const seen = toSql(principal.rights, 'schedule.read', 'schedule', columns, 4)
      const rows = await db.query<Schedule>(
        `select ${scheduleColumns}
         from schedule
         where name > $1
           and ($2::text is null or kind = $2)
           and ${seen.condition}
         order by name
         limit $3`,
        [page.after ?? '', query.kind ?? null, page.limit + 1, ...seen.values],
      )
      return { status: 200, body: toPage(rows, page, ({ name }) => name, showSchedule) }
    },
    createSchedule: async ({ body, principal, requestId }) => {
      const { name, runAs, ...given } = body
      const fields: ScheduleFields = {
        timeZone: 'UTC',
        parameters: {},
        paused: false,
        overlap: 'skip',
        missed: 'once',
        jitterSeconds: 0,
        ...given,
        ...(await readRunAs(auth, principal, runAs)),
      }
      checkTimes(fields)
      checkPace(fields.cron)
      await check(fields, requestId)
      const id = await insertSchedule(db, { name, ownerId: ownerOf(principal), ...fields }, actorOf(principal))
      const headers = { location: `/api/v1/schedules/${id}` }
      return { status: 201, headers, body: showSchedule(await findSchedule(db, id)) }
    },
    showSchedule: async ({ params }) => ({
      status: 200,
      body: showSchedule(await findSchedule(db, params.schedule)),
    }),
    updateSchedule: async ({ params, body, principal, requestId }) => {
      const current = await findSchedule(db, params.schedule)
      requireAdminOfSystem(current, principal)
      const { runAs, ...given } = body
      // Whoever says what is done answers for it with its own rights: else it would borrow those of another one. Those of Berth itself are
      // lent to administrators, who have them anyway.
      const isOther = runAs !== undefined || (given.parameters !== undefined && current.runAsId !== null)
      const account = isOther ? await readRunAs(auth, principal, runAs) : {}
      const fields: ScheduleFields = { ...current, ...given, ...account }
      checkTimes(fields)
      if (given.cron !== undefined) checkPace(given.cron)
      if (!fields.paused) await check(fields, requestId)
      await updateSchedule(db, current.id, fields)
      return { status: 200, body: showSchedule(await findSchedule(db, current.id)) }
    },
    deleteSchedule: async ({ params, principal }) => {
      const schedule = await findSchedule(db, params.schedule)
      requireAdminOfSystem(schedule, principal)
      await db.query('delete from schedule where id = $1', [schedule.id])
      return { status: 204 }
    },
    runSchedule: async ({ params, principal }) => {
      const schedule = await findSchedule(db, params.schedule)
      requireAdminOfSystem(schedule, principal)
      // With the rights of the schedule's account, which who may manage the schedule has said that it has.
      const made = await db.query(
        `insert into schedule_run (schedule_id, due_at, state)
         select id, now(), 'starting'
         from schedule
         where id = $1
           and not exists (
             select
             from schedule_run as run
             where run.schedule_id = schedule.id
               and run.state in ('starting', 'running'))
         returning id`,
        [schedule.id],
      )
      if (made.length === 0)
        throw new Problem(409, 'schedule_running', `What ${schedule.name} has started goes on.`, {
          hint: 'Ask again when it has ended, or cancel its task.',
        })
      onRun()
      const headers = { location: `/api/v1/schedules/${schedule.id}` }
      return { status: 202, headers, body: showSchedule(await findSchedule(db, schedule.id)) }
    },
    listScheduleRuns: async ({ params, query }) => {
      const page = readPage(query)
      const { id } = await findSchedule(db, params.schedule)
      const rows = await listRuns(db, id, page)
      return { status: 200, body: toPage(rows, page, (row) => String(row.id), showRun) }
    },
  } satisfies Partial<Handlers<operations>>
}

/** Throws 403. What runs with the rights of Berth itself is for those who have them. */
function requireAdminOfSystem({ name, runAsId }: Schedule, principal: Principal): void {
  if (runAsId !== null) return
  requireVerb(
    principal,
    'administer',
    { kind: 'settings', name: '' },
    `change schedule ${name}, which Berth itself runs`,
  )
}

async function listRuns(db: Database, scheduleId: string, { after, limit }: PageRequest): Promise<RunRow[]> {
  if (after !== undefined && !/^\d{1,18}$/.test(after)) throw badCursor()
  return db.query<RunRow>(
    `select id, due_at as "dueAt", started_at as "startedAt", finished_at as "finishedAt", state, error,
       case when has_task then task end as task
     from schedule_run
     where schedule_id = $1
       and ($2::bigint is null or id < $2)
     order by id desc
     limit $3`,
    [scheduleId, after ?? null, limit + 1],
  )
}

function showRun({ id, dueAt, startedAt, finishedAt, state, task, error }: RunRow) {
  return {
    id: String(id),
    dueAt: dueAt.toISOString(),
    startedAt: startedAt.toISOString(),
    finishedAt: finishedAt?.toISOString() ?? null,
    state,
    task,
    error,
  }
}
