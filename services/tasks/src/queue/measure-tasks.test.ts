import { randomUUID } from 'node:crypto'
import { makeDatabase, type TestDatabase, until } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import pg from 'pg'
import { type StartedTasks, startTasks } from '../testing/started.fixture.ts'

let database: TestDatabase
let replica: StartedTasks
let sql: pg.Client

beforeAll(async () => {
  database = await makeDatabase()
  replica = await startTasks(database.url)
  sql = new pg.Client({ connectionString: database.url, options: '-c search_path=tasks' })
  await sql.connect()
})
afterAll(async () => {
  await sql?.end()
  await replica?.stop()
  await database?.drop()
})

const series = async (start: string) => {
  const lines = (await replica.metrics.text()).split('\n').filter((line) => line.startsWith(start))
  return lines.map((line) => line.replace(/ (\d+)\.\d+$/, ' $1'))
}
const queue = async (kind: string) => {
  const id = randomUUID()
  const actor = { id: null, name: 'ann' }
  await replica.tasks.call('create-task', { id, kind, payload: {}, exclusive: [], shared: [], actor })
  return id
}
const claim = async (kind: string) => {
  const { task } = await replica.tasks.call('claim-task', { kinds: [kind], worker: 'w', leaseSeconds: 60 })
  if (!task) throw new Error('there is no task to claim')
  return task
}

test('metrics tell how many tasks wait and run, how long that took, and how they ended', async () => {
  for (const kind of ['bake', 'bake', 'bake', 'wash']) await queue(kind)
  const { id, fence } = await claim('bake')
  expect(await series('berth_tasks')).toEqual([
    'berth_tasks{state="waiting",kind="bake"} 2',
    'berth_tasks{state="waiting",kind="wash"} 1',
    'berth_tasks{state="running",kind="bake"} 1',
  ])
  await replica.tasks.call('finish-task', { id, fence, state: 'failed', error: { code: 'burnt', message: 'black' } })
  expect(await series('berth_task_wait_seconds_count')).toEqual(['berth_task_wait_seconds_count 1'])
  expect(await series('berth_task_run_seconds_count')).toEqual([
    'berth_task_run_seconds_count{kind="bake",result="failed"} 1',
  ])
  const lost = await claim('bake')
  await sql.query("update task set lease_until = now() - interval '1 second' where id = $1", [lost.id])
  await until(async () => (await series('berth_task_lease_lost_total')).join() === 'berth_task_lease_lost_total 1')
  // Taken again it has not waited anew.
  await claim('bake')
  expect(await series('berth_task_wait_seconds_count')).toEqual(['berth_task_wait_seconds_count 2'])
})

test('metrics tell of times that schedules missed', async () => {
  await sql.query(
    `insert into schedule (name, cron, time_zone, kind, parameters, run_as, created_by, missed, next_at)
     values ('late', '@daily', 'UTC', 'gc', '{}', 'system', 'berth', 'skip', now() - interval '1 hour')`,
  )
  await until(async () => (await series('berth_schedule_missed_total')).join() === 'berth_schedule_missed_total 1')
})

test('a look at the metrics costs little however many tasks there are', async () => {
  await sql.query(
    `insert into task (id, kind, payload, actor, state, finished_at)
     select gen_random_uuid(), 'old', '{}', 'ann', 'completed', now()
     from generate_series(1, 20000)`,
  )
  await sql.query(
    `insert into task (id, kind, payload, actor)
     select gen_random_uuid(), 'crowd' || n % 3, '{}', 'ann'
     from generate_series(1, 40000) as n`,
  )
  expect(await series('berth_tasks{state="waiting",kind="crowd1"')).toEqual([
    'berth_tasks{state="waiting",kind="crowd1"} 10000',
  ])
})
