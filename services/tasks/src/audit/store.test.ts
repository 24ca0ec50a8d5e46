import type { AuditRow, Database } from '@berth/service'
import { applyMigrations, openDatabase } from '@berth/service'
import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { schemaParts } from '../db/schema-parts.ts'
import { dropMonths } from './months.ts'
import { storeRows } from './store.ts'

let database: TestDatabase
let db: Database
beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'tasks', parts: schemaParts })
  db = openDatabase({ url: database.url, schema: 'tasks' })
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

let number = 0
const rowAt = (at: string, requestId: string): AuditRow => ({
  number: ++number,
  at,
  entry: {
    action: 'doIt',
    actor: { id: null, name: 'ann' },
    object: { kind: 'thing', id: null, name: 'one' },
    detail: null,
    address: null,
    requestId,
    namespace: null,
    result: 'done',
    count: 1,
  },
})
/** Of three bytes each, in which nothing repeats that could be compressed. */
const randomCharacters = (length: number) =>
  String.fromCharCode(...Array.from({ length }, () => 0x4e00 + Math.floor(Math.random() * 20_000)))
const store = (rows: AuditRow[], keptDays = 36_500, write?: (lines: string) => Promise<void>) =>
  storeRows(db, 'catalog', rows, { keptDays, write })
const requestIds = async () => {
  const rows = await db.query<{ requestId: string }>('select request_id as "requestId" from audit order by at, number')
  return rows.map(({ requestId }) => requestId)
}
const months = async () => {
  const tables = await db.query<{ name: string }>(
    "select relname as name from pg_class where relkind = 'r' and relname ~ '^audit_[0-9]+$' order by relname",
  )
  return tables.map(({ name }) => name)
}

test('what comes twice is stored once, also by two at once; another number of the same request is another entry', async () => {
  const [one, other] = [rowAt('2026-11-29T12:00:00.000Z', 'same'), rowAt('2026-11-29T12:00:00.000Z', 'same')]
  await Promise.all([store([one, other]), store([one, other])])
  await store([other])
  expect(await requestIds()).toEqual(['same', 'same'])
})

test('each month has a table, whatever order they come in, and two may make it at once', async () => {
  const rows = ['2026-12-31T23:59:59.999Z', '2027-01-01T00:00:00.000Z', '2024-02-29T00:00:00.000Z'].map((at) =>
    rowAt(at, at),
  )
  await Promise.all([store(rows), store(rows.toReversed())])
  expect(await months()).toEqual(['audit_202402', 'audit_202611', 'audit_202612', 'audit_202701'])
  expect(await requestIds()).toEqual([
    '2024-02-29T00:00:00.000Z',
    'same',
    'same',
    ...rows.slice(0, 2).map(({ at }) => at),
  ])
})

test.each([
  'update audit set actor = $$nobody$$',
  'delete from audit',
  'truncate audit',
  'update audit_202611 set actor = $$nobody$$',
  'delete from audit_202611',
  'truncate audit_202611',
])('the database refuses to %s', async (statement) => {
  await expect(db.query(statement)).rejects.toMatchObject({ code: 'BR009' })
})

test('months go as a whole once their last day is too old, and what comes later of them is not kept', async () => {
  const now = new Date('2027-01-31T12:00:00Z')
  expect(await dropMonths(db, 62, now)).toEqual(['audit_202402'])
  expect(await dropMonths(db, 61, now)).toEqual(['audit_202611'])
  expect(await dropMonths(db, 61, now)).toEqual([])
  expect(await months()).toEqual(['audit_202612', 'audit_202701'])
  const old = new Date(Date.now() - 10 * 86_400_000).toISOString()
  await store([rowAt(old, 'too old')], 9)
  expect(await requestIds()).not.toContain('too old')
})

test('a line is written before the entry is committed: where that fails it comes again, and it comes once for all', async () => {
  const row = rowAt(new Date().toISOString(), 'written')
  const lines: string[] = []
  const write = async (text: string) => void lines.push(text)
  await expect(
    store([row], 400, async () => {
      throw new Error('nobody reads')
    }),
  ).rejects.toThrow('nobody reads')
  expect(await requestIds()).not.toContain('written')
  await store([row], 400, write)
  await store([row], 400, write)
  expect(lines).toEqual([expect.stringMatching(/^\{.*\}\n$/)])
  expect(JSON.parse(lines[0] ?? '')).toMatchObject({
    type: 'audit',
    service: 'catalog',
    number: row.number,
    requestId: 'written',
    at: row.at,
  })
})

test('names of any characters and length are stored, for one that was not would keep out all that comes after it', async () => {
  const long = randomCharacters(1_000)
  const row = rowAt(new Date().toISOString(), 'long')
  const object = { kind: 'repository', id: long, name: long }
  const entry = { ...row.entry, actor: { id: null, name: long }, object, namespace: long, detail: long }
  await store([{ ...row, entry }])
  const [stored] = await db.query<{ object: string }>("select object from audit where request_id = 'long'")
  expect(stored?.object).toBe(long.slice(0, 682))
})
