import { createLogger, type Database, type Logger, openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { type StartedTasks, startTasks } from '../testing/started.fixture.ts'
import { makeDefaultSchedules } from './default-schedules.ts'

let database: TestDatabase
let replica: StartedTasks
let db: Database

beforeAll(async () => {
  database = await makeDatabase()
  replica = await startTasks(database.url)
  db = openDatabase({ url: database.url, schema: 'tasks' })
})
afterAll(async () => {
  await db?.close()
  await replica?.stop()
  await database?.drop()
})
const schedules = () =>
  db.query(
    'select name, cron, kind, parameters, paused, run_as as "runAs", run_as_id as "runAsId" from schedule order by name',
  )
/** As before the first start. */
beforeEach(async () => {
  await db.query('delete from schedule')
  await db.query('delete from schedule_defaults')
})
function logger(): { log: Logger; told: { message: string; settings?: unknown }[] } {
  const told: { message: string }[] = []
  const silent = createLogger({ service: 'test', silent: true })
  return { told, log: { ...silent, info: (message, fields) => void told.push({ message, ...fields }) } }
}

test('the first start makes a schedule of each interval, which Berth itself runs; one of 0 is paused', async () => {
  const { log, told } = logger()
  await makeDefaultSchedules(db, { scrubIntervalSeconds: 0, retentionIntervalSeconds: 5_400 }, log)
  const system = { runAs: 'system', runAsId: null }
  expect(await schedules()).toEqual([
    { name: 'collect', cron: '23 * * * *', kind: 'gc', parameters: {}, paused: false, ...system },
    {
      name: 'retain',
      cron: '@every 5400s',
      kind: 'retention',
      parameters: { allRepositories: true },
      paused: false,
      ...system,
    },
    {
      name: 'scrub',
      cron: '11 2 1 * *',
      kind: 'scrub',
      parameters: { bytesPerSecond: 4 << 20 },
      paused: true,
      ...system,
    },
  ])
  expect(told).toEqual([])
})

test('later starts leave them as they are, those that were deleted too, and say that settings are ignored', async () => {
  const { log, told } = logger()
  await makeDefaultSchedules(db, {}, log)
  await db.query("delete from schedule where name = 'scrub'")
  await db.query("update schedule set cron = '@weekly' where name = 'collect'")
  const before = await schedules()
  await makeDefaultSchedules(db, {}, log)
  expect(told).toEqual([])
  await makeDefaultSchedules(db, { gcIntervalSeconds: 60, scrubBytesPerSecond: 1 << 20 }, log)
  expect(await schedules()).toEqual(before)
  expect(told).toMatchObject([{ settings: ['BERTH_GC_INTERVAL_SECONDS', 'BERTH_SCRUB_BYTES_PER_SECOND'] }])
})

test('a schedule that has a name of theirs is left, and replicas that start at once make them once', async () => {
  const { log } = logger()
  await db.query(
    `insert into schedule (name, cron, time_zone, kind, parameters, run_as_id, run_as, created_by)
     values ('collect', '@daily', 'UTC', 'gc', '{}', gen_random_uuid(), 'ann', 'ann')`,
  )
  await Promise.all([1, 2, 3].map(() => makeDefaultSchedules(db, {}, log)))
  expect((await schedules()).map(({ name }) => name)).toEqual(['collect', 'retain', 'scrub', 'system-collect'])
})
