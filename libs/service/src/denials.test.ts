import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals'
import { auditTables, type Recorded, takeAudit } from './audit-outbox.ts'
import { type Database, openDatabase } from './database.ts'
import { createDenials, type Denial, type Denials } from './denials.ts'
import { applyMigrations } from './migrations.ts'

let database: TestDatabase
let db: Database
let now = 0
let denials: Denials

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'things', parts: [auditTables] })
  db = openDatabase({ url: database.url, schema: 'things' })
})
beforeEach(async () => {
  await db.query('delete from audit_outbox')
  now = 0
  denials = createDenials(() => now)
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

function refuse(more: Partial<Denial> = {}): void {
  denials.count({
    result: 'denied',
    action: 'showIt',
    actor: { id: null, name: 'ann' },
    object: { kind: 'thing', id: null, name: 'one' },
    detail: null,
    address: '192.0.2.1',
    requestId: 'r',
    ...more,
  })
}
async function record(): Promise<Recorded[]> {
  await denials.record(db)
  const { rows } = await takeAudit(db, { stored: [] })
  await takeAudit(db, { stored: rows.map(({ number }) => number) })
  return rows.map(({ entry }) => entry)
}
const named = (name: string) => ({ object: { kind: 'thing', id: null, name } })

test('what is refused is one row for each actor, action and object, with how often', async () => {
  for (let n = 0; n < 1_000; n++) refuse()
  refuse({ action: 'changeIt' })
  refuse({ actor: { id: null, name: 'ben' } })
  refuse(named('other'))
  refuse({ result: 'login_failed' })
  expect((await record()).map(({ count }) => count)).toEqual([1_000, 1, 1, 1, 1])
  expect(await record()).toEqual([])
})

test('a million names are a hundred rows, and one for the rest', async () => {
  for (let n = 0; n < 1_000_000; n++) refuse({ result: 'login_failed', actor: { id: null, name: `guess-${n}` } })
  const rows = await record()
  expect(rows).toHaveLength(101)
  expect(rows.at(-1)).toMatchObject({
    actor: { id: null, name: 'others' },
    action: 'others',
    object: { kind: 'others', name: null },
    result: 'login_failed',
    count: 999_900,
    address: null,
  })
})

test('a thousand rows an hour are the most; what was known before is still counted by itself', async () => {
  let rows = 0
  for (let minute = 0; minute < 60; minute++) {
    for (let n = 0; n < 100; n++) refuse(named(`${minute} ${n}`))
    rows += (await record()).length
    now += 60_000
  }
  expect(rows).toBe(1_000 + 50)
  now += 60_000
  refuse(named('the next hour'))
  expect(await record()).toMatchObject([named('the next hour')])
})

test('what could not be recorded is recorded the next time', async () => {
  refuse()
  await db.query('alter table audit_outbox rename to away')
  await expect(denials.record(db)).rejects.toThrow('audit_outbox')
  refuse()
  await db.query('alter table away rename to audit_outbox')
  expect(await record()).toMatchObject([{ count: 2 }])
})
