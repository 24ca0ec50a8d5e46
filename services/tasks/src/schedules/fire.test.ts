import { randomUUID } from 'node:crypto'
import { type Database, openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type StartedTasks, startTasks } from '../testing/started.fixture.ts'
import { fireDue, forgetRuns, settleRuns } from './fire.ts'

let database: TestDatabase
let replica: StartedTasks
let others: Database[]
let db: Database

beforeAll(async () => {
  database = await makeDatabase()
  replica = await startTasks(database.url)
  others = Array.from({ length: 4 }, () => openDatabase({ url: database.url, schema: 'tasks' }))
  db = others[0] as Database
})
afterAll(async () => {
  await Promise.all((others ?? []).map((one) => one.close()))
  await replica?.stop()
  await database?.drop()
})

/** Makes schedules that are due, and answers their ids. The services that would do what they are for are away. */
async function dueSchedules(count: number): Promise<string[]> {
  const rows = await db.query<{ id: string }>(
    `insert into schedule (name, cron, time_zone, kind, parameters, run_as_id, run_as, created_by, next_at)
     select gen_random_uuid()::text, '@daily', 'UTC', 'gc', '{}', gen_random_uuid(), 'ann', 'ann', now()
     from generate_series(1, $1)
     returning id`,
    [count],
  )
  return rows.map(({ id }) => id)
}
const runsOf = (ids: string[]) =>
  db.query<{ id: string; state: string; task: string }>(
    'select schedule_id as id, state, task from schedule_run where schedule_id = any($1) order by schedule_run.id',
    [ids],
  )

test('five schedulers at once use each time once, and every schedule is due next in its future', async () => {
  const ids = await dueSchedules(250)
  const late = async () => {
    const [row] = await db.query<{ late: number }>(
      'select count(*)::integer as late from schedule where id = any($1) and next_at <= now()',
      [ids],
    )
    return row?.late
  }
  // The replica has a scheduler too, which may not have committed yet what it took.
  while ((await Promise.all(others.map(fireDue))).some(Boolean) || (await late()) !== 0);
  const runs = await runsOf(ids)
  expect(runs.map(({ id }) => id).sort()).toEqual(ids.toSorted())
  expect(await late()).toBe(0)
})

test('runs that ended long ago are forgotten, but for the last one of each schedule', async () => {
  const [id = ''] = await dueSchedules(1)
  await fireDue(db)
  for (let n = 0; n < 3; n++)
    await db.query(
      `insert into schedule_run (schedule_id, due_at, state, finished_at)
       values ($1, now(), 'completed', now() - interval '40 days')`,
      [id],
    )
  await forgetRuns(db, 30)
  expect((await runsOf([id])).map(({ state }) => state)).toEqual(['starting', 'completed'])
})

test('a run whose task ended is told with its end', async () => {
  const [id = ''] = await dueSchedules(1)
  const task = randomUUID()
  await db.query(
    `insert into schedule_run (schedule_id, due_at, state, task, has_task) values ($1, now(), 'running', $2, true)`,
    [id, task],
  )
  const request = { id: task, kind: 'gc', payload: {}, exclusive: [], shared: [], actor: { id: null, name: 'ann' } }
  await replica.tasks.call('create-task', request)
  await settleRuns(db)
  expect((await runsOf([id])).find((run) => run.task === task)?.state).toBe('running')
  const { task: claimed } = await replica.tasks.call('claim-task', { kinds: ['gc'], worker: 'w', leaseSeconds: 60 })
  const error = { code: 'store_unavailable', message: 'not mounted' }
  await replica.tasks.call('finish-task', { id: task, fence: claimed?.fence ?? 0, state: 'failed', error })
  await settleRuns(db)
  expect((await runsOf([id])).find((run) => run.task === task)?.state).toBe('failed')
})
