import { applyMigrations, createLogger, type Database, openDatabase, takeAudit } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { type AuditSource, createCollector } from './collect.ts'
import { storeRows } from './store.ts'

let database: TestDatabase
let db: Database
const log = createLogger({ service: 'test', silent: true })
const take: AuditSource = (request) => takeAudit(db, request)
const away: AuditSource = async () => {
  throw new Error('it is away')
}
const store = (service: string, rows: Parameters<typeof storeRows>[2]) =>
  storeRows(db, service, rows, { keptDays: 36_500 })

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'tasks', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'tasks' })
})
beforeEach(async () => {
  await db.query('delete from audit_outbox')
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

/** Records so many changes, as a service that tasks has not asked for a long time has. */
const record = (count: number, requestId: string) =>
  db.query(
    `insert into audit_outbox (entry)
     select jsonb_build_object('action', 'doIt', 'actor', jsonb_build_object('id', null, 'name', 'ann'), 'object',
       jsonb_build_object('kind', 'thing', 'id', null, 'name', 'one'), 'requestId', $2::text, 'result', 'done', 'count', 1)
     from generate_series(1, $1)`,
    [count, requestId],
  )
const stored = async (requestId: string) => {
  const [row] = await db.query<{ count: number }>('select count(*) as count from audit where request_id = $1', [
    requestId,
  ])
  return row?.count
}
const left = async () => (await db.query('select number from audit_outbox')).length

test('what was recorded while tasks was away is all stored, and deleted where it was', async () => {
  await record(2_345, 'a day')
  expect(await createCollector({ catalog: take }, store, log).upToDate()).toEqual([])
  expect([await stored('a day'), await left()]).toEqual([2_345, 0])
})

test('what was stored and not deleted, because tasks was killed in between, is stored once', async () => {
  await record(10, 'killed')
  const { rows } = await takeAudit(db, { stored: [] })
  await store('catalog', rows)
  await createCollector({ catalog: take }, store, log).collect()
  expect([await stored('killed'), await left()]).toEqual([10, 0])
})

test('two that collect at once store all of it once', async () => {
  await record(1_200, 'both')
  const two = [1, 2].map(() => createCollector({ catalog: take }, store, log))
  await Promise.all(two.map((one) => one.collect()))
  expect([await stored('both'), await left()]).toEqual([1_200, 0])
})

test('what cannot be stored stays where it was recorded, and is named until it can', async () => {
  await record(3, 'later')
  let isFull = true
  const collector = createCollector(
    { catalog: take, sync: away },
    async (service, rows) => {
      if (isFull) throw new Error('the disk is full')
      await store(service, rows)
    },
    log,
  )
  expect(await collector.upToDate()).toEqual(['catalog', 'sync'])
  expect([await stored('later'), await left()]).toEqual([0, 3])
  isFull = false
  expect(await collector.upToDate()).toEqual(['sync'])
  const behind = Object.fromEntries(collector.behindSeconds())
  expect(behind.catalog).toBeLessThan(behind.sync ?? 0)
  expect([await stored('later'), await left()]).toEqual([3, 0])
})

test('who asks sees what was recorded before, also while a look is under way that began before', async () => {
  const looked = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  let isFirst = true
  const collector = createCollector(
    {
      catalog: async (request) => {
        const answer = await take(request)
        if (isFirst) {
          isFirst = false
          looked.resolve()
          await goOn.promise
        }
        return answer
      },
    },
    store,
    log,
  )
  const first = collector.collect()
  await looked.promise
  await record(1, 'meanwhile')
  const asked = collector.upToDate()
  goOn.resolve()
  await Promise.all([first, asked])
  expect(await stored('meanwhile')).toBe(1)
})
