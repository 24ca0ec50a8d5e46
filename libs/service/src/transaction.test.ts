import { afterAll, beforeAll, expect, test } from '@jest/globals'
import { type Database, openDatabase } from './database.ts'
import { makeDatabase } from './testing/index.ts'

let made: Awaited<ReturnType<typeof makeDatabase>>
let db: Database

beforeAll(async () => {
  made = await makeDatabase()
  db = openDatabase({ url: made.url, schema: 'public', max: 2 })
  await db.query('create table note (id integer primary key)')
})
afterAll(async () => {
  await db.close()
  await made.drop()
})

const notes = async () => (await db.query<{ id: number }>('select id from note order by id')).map(({ id }) => id)

test('a statement that nobody waits for is part of the transaction', async () => {
  await db.transaction(async (sql) => {
    sql.later(sql.query('insert into note values (1)'))
    sql.later(sql.query('insert into note values (2)'))
  })
  expect(await notes()).toEqual([1, 2])
})

test('when such a statement fails, everything is undone and its own error is told', async () => {
  const twice = db.transaction(async (sql) => {
    await sql.query('insert into note values (3)')
    sql.later(sql.query('insert into note values (1)'))
  })
  await expect(twice).rejects.toMatchObject({ code: '23505' })
  const goingOn = db.transaction(async (sql) => {
    sql.later(sql.query('insert into note values (1)'))
    await sql.query('insert into note values (4)')
  })
  await expect(goingOn).rejects.toMatchObject({ code: '23505' })
  expect(await notes()).toEqual([1, 2])
})

test('work that fails undoes what was sent', async () => {
  const failing = db.transaction(async (sql) => {
    sql.later(sql.query('insert into note values (5)'))
    throw new Error('changed its mind')
  })
  await expect(failing).rejects.toThrow('changed its mind')
  expect(await notes()).toEqual([1, 2])
})
