import { makeDatabase, type TestDatabase } from '@berth/service/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals'
import { type AuditEntry, namespaceOf, noteAudit, noteUnchanged, withAudit } from './audit-entry.ts'
import { auditTables, takeAudit } from './audit-outbox.ts'
import { type Database, openDatabase } from './database.ts'
import { applyMigrations } from './migrations.ts'

let database: TestDatabase
let db: Database
const entry: AuditEntry = {
  action: 'doIt',
  actor: { id: null, name: 'ann' },
  object: { kind: 'thing', id: null, name: 'one' },
  detail: null,
  address: '192.0.2.1',
  requestId: 'r',
}

beforeAll(async () => {
  database = await makeDatabase()
  await applyMigrations({ url: database.url, schema: 'things', parts: [auditTables] })
  db = openDatabase({ url: database.url, schema: 'things' })
  await db.query('create table thing (name text)')
  await db.query("insert into thing values ('first')")
})
beforeEach(async () => {
  await db.query('delete from audit_outbox')
})
afterAll(async () => {
  await db?.close()
  await database?.drop()
})

const write = "insert into thing values ('x')"
const recorded = async () => (await takeAudit(db, { stored: [] })).rows.map((row) => row.entry)
const audited = (work: () => Promise<unknown>) => withAudit(entry, work)

describe('what is being recorded', () => {
  test.each<[string, number, () => Promise<unknown>]>([
    ['a transaction that changes something', 1, () => db.transaction((sql) => sql.query(write))],
    ['one in the background', 1, () => db.background.transaction((sql) => sql.query(write))],
    ['a single statement', 1, () => db.query(write)],
    ['a single statement that is prepared', 1, () => db.prepared('w', 'insert into thing values ($1)', ['x'])],
    ['one that changes no row', 0, () => db.query("delete from thing where name = 'none'")],
    ['a transaction that only reads', 0, () => db.transaction((sql) => sql.query('select name from thing'))],
    [
      'one that may only read',
      0,
      () => db.transaction((sql) => sql.query('select 1'), { isolation: 'repeatable read read only' }),
    ],
    ['a single statement that only reads', 0, () => db.query('select name from thing')],
    [
      'a transaction that only locks, and says that nothing changed',
      0,
      () =>
        db.transaction(async (sql) => {
          await sql.query('select name from thing for update')
          noteUnchanged()
        }),
    ],
    [
      'two transactions after each other',
      1,
      async () => {
        await db.transaction((sql) => sql.query(write))
        await db.transaction((sql) => sql.query(write))
      },
    ],
    [
      'one that only reads before one that changes something',
      1,
      async () => {
        await db.transaction((sql) => sql.query('select 1'))
        await db.query(write)
      },
    ],
    ['what is done outside of it', 0, () => withAudit(undefined, () => db.query(write))],
  ])('%s leaves %i entries', async (_what, count, work) => {
    await audited(work)
    expect(await recorded()).toHaveLength(count)
  })

  test('a transaction that is rolled back leaves none, and the one that is tried after it does', async () => {
    const refused = db.transaction(async (sql) => {
      await sql.query(write)
      throw new Error('refused')
    })
    await expect(audited(() => refused)).rejects.toThrow('refused')
    expect(await recorded()).toEqual([])
    await audited(async () => {
      const failing = db.transaction(async (sql) => {
        await sql.query(write)
        sql.later(sql.query('select 1 / 0'))
      })
      await expect(failing).rejects.toMatchObject({ code: '22012' })
      await db.transaction((sql) => sql.query(write))
    })
    expect(await recorded()).toHaveLength(1)
  })

  test('a change whose connection is killed before the commit leaves neither itself nor an entry', async () => {
    const killed = db.transaction(async (sql) => {
      await sql.query("insert into thing values ('killed')")
      const [row] = await sql.query<{ pid: number }>('select pg_backend_pid() as pid')
      await db.query('select pg_terminate_backend($1)', [row?.pid])
      await sql.query('select 1')
    })
    await expect(audited(() => killed)).rejects.toThrow('PostgreSQL does not answer')
    expect(await db.query("select from thing where name = 'killed'")).toEqual([])
    expect(await recorded()).toEqual([])
  })

  test('of two changes at once the one that is committed leaves an entry, whichever fails', async () => {
    const held = Promise.withResolvers<void>()
    const failing = db.transaction(async (sql) => {
      await sql.query(write)
      await held.promise
      throw new Error('refused')
    })
    await audited(async () => {
      await Promise.all([
        expect(failing).rejects.toThrow('refused'),
        db.transaction((sql) => sql.query(write)).finally(() => held.resolve()),
      ])
    })
    expect(await recorded()).toHaveLength(1)
  })

  test('without a request nothing is recorded', async () => {
    await db.transaction((sql) => sql.query(write))
    expect(await recorded()).toEqual([])
  })

  test('what becomes known on the way is told, and nothing of another kind or object', async () => {
    await audited(() =>
      db.transaction(async (sql) => {
        await sql.query(write)
        noteAudit({ object: { kind: 'other', id: 'b', name: 'not this' } })
        noteAudit({ object: { kind: 'thing', id: 'a', name: 'team/one' }, actor: { id: null, name: 'ben' } })
        noteAudit({ object: { kind: 'thing', id: 'c', name: 'nor this' } })
      }),
    )
    expect(await recorded()).toMatchObject([{ actor: { name: 'ben' }, object: { id: 'a', name: 'team/one' } }])
  })

  test('texts of a stranger are cut, and hold nothing that PostgreSQL does not take', async () => {
    const name = `a\0b\ud800${'x'.repeat(5_000)}`
    await withAudit({ ...entry, object: { ...entry.object, name } }, () => db.query(write))
    const [row] = await recorded()
    expect(row?.object.name).toMatch(/^ab�x{1020}$/)
  })
})

test('what is stored is deleted, and the rest comes again', async () => {
  for (const _ of [1, 2, 3]) await audited(() => db.query(write))
  const { rows } = await takeAudit(db, { stored: [] })
  const [first, second, third] = rows.map(({ number }) => number)
  expect((await takeAudit(db, { stored: [first ?? 0, third ?? 0] })).rows.map(({ number }) => number)).toEqual([second])
})

test.each([
  ['repository', 'team/app', 'team'],
  ['repository', 'app', 'app'],
  ['distribution', 'team/a/b', 'team'],
  ['namespace', 'team', 'team'],
  ['robot', 'team/ci', 'team'],
  ['robot', 'ci', null],
  ['user', 'team', null],
  ['grant', 'repository:team/app', 'team'],
  ['grant', 'namespace:team', 'team'],
  ['grant', 'team/*', 'team'],
  ['grant', '*', null],
])('the %s %s belongs to the namespace %s', (kind, name, namespace) => {
  expect(namespaceOf({ kind, id: null, name })).toBe(namespace)
})
